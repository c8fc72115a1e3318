"""Writes ../language/english.txt, the words by which a turn is known for English, and ../../telling.txt, those that no
filler turn has.

usage: english.py

The words that the calls in calls/ use at least twice, with marks taken off and without words that are only quoted there
from other languages. What callers say and these calls do not, dialects above all, stands in ../language/dialects.txt.
A word tells something where at least eight caller turns have it and fewer than 3 in 100 of them are filler.
"""
import collections
import pathlib
import re
import unicodedata

HERE = pathlib.Path(__file__).parent
# Spanish, Hindi and other words that callers in calls/ mix in.
QUOTED = set(
    "asante bel bhai bom bonjour carta das dos el esta grazie hala hola ja ji jo jos ka kart ke los mio naman namaste ng "
    "oye pas pesa que sana un".split()
)


def said():
    """Each turn, and whether a caller said it and it is filler (true), says something (false), or neither (none)."""
    for path in sorted((HERE / "calls").glob("*.txt")):
        for line in path.read_text().splitlines():
            if line.startswith("A "):
                yield line[2:], None
            elif line.startswith("C "):
                *marks, text = line.split(maxsplit=5)
                yield text, "f" in marks[4]


def plain(text):
    marked = unicodedata.normalize("NFD", text.lower().replace("'", "").replace("’", ""))
    return "".join(c for c in marked if not unicodedata.combining(c))


def write(path, words):
    (HERE / path).write_text("\n".join(sorted(words)) + "\n")
    print(path, len(words))


turns = [(re.findall(r"[a-z]+", plain(text)), filler) for text, filler in said()]
counts = collections.Counter(word for words, _ in turns for word in words)
write("../language/english.txt", [w for w, count in counts.items() if count >= 2 and (len(w) > 1 or w in "ai") and w not in QUOTED])
fillers = collections.Counter(word for words, filler in turns if filler for word in set(words))
telling = collections.Counter(word for words, filler in turns if filler is False for word in set(words))
write("../../telling.txt", [w for w, n in telling.items() if n >= 8 and fillers[w] < 0.03 * (n + fillers[w]) and len(w) > 1])
