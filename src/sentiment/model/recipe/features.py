"""What the embedded rater looks at: the same features as `src/sentiment/model/{words,features}.rs`, bit for bit.

A change here needs the same change there; `golden.py` writes the file by which the Rust tests compare the two.
"""

from __future__ import annotations

import math
import re
from zlib import crc32

BITS = 18
BUCKETS = 1 << BITS
MAX_CHARS = 4000
MAX_WORDS = 256
MAX_EARLIER = 12

FILLERS = frozenset("um umm uh uhm uhh er erm eh ehm".split())
NUMBERS = frozenset(
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million".split()
)
NUMBERS_NEXT_TO_NUMBERS = frozenset("one oh o double triple".split())
NUMBERS_BETWEEN_NUMBERS = frozenset("and point".split())
ORDINALS = frozenset("third fourth fifth sixth seventh eighth ninth tenth".split())
TAILS = frozenset("s t m d ll re ve".split())
NEGATED = frozenset("do does did is was were has have had would could should are will".split())
SAME = {
    "theyre": "there", "their": "there", "youre": "your", "hear": "here", "weight": "wait", "whose": "whos",
    "cannot": "cant", "wont": "willnt", "wanna": "want", "gonna": "going", "gotta": "got", "ive": "i",
    "okay": "ok", "yeah": "yes", "yep": "yes", "yup": "yes", "ya": "yes", "nope": "no", "nah": "no", "hiya": "hi", "cuz": "cause",
    "cos": "cause", "because": "cause", "expletive": "*", "bleep": "*", "bleeped": "*", "bleeping": "*", "ppl": "people", "pls": "please", "thx": "thanks", "u": "you", "ur": "your", "k": "ok", "alright": "ok", "mum": "mom",
}
PAIRS = {("i", "am"): "im", ("it", "is"): "its", ("that", "is"): "thats", ("what", "is"): "whats", ("you", "are"): "your",
         ("they", "are"): "there", ("i", "will"): "ill", ("going", "to"): "going", ("i", "have"): "i"}
APOSTROPHES = "'\u2019\u2018\u02bc`"
# A swear word that the recogniser has masked: "****", "f***ing", "[expletive]".
MASK = "*"


class Word:
    """A normalised word, with where it stands in the text (in characters)."""

    __slots__ = ("text", "start", "end")

    def __init__(self, text: str, start: int, end: int):
        self.text, self.start, self.end = text, start, end


def is_letter(c: str) -> bool:
    """ASCII letters and digits, and Latin letters with marks; everything else parts words."""
    return "0" <= c <= "9" or "a" <= c <= "z" or "A" <= c <= "Z" or ("\u00c0" <= c <= "\u024f" and c not in "\u00d7\u00f7")


def split(text: str) -> list[Word]:
    """Runs of letters and digits; apostrophes inside are dropped; a false start ("wa- want") is left out; so are asterisks, but for a masked word."""
    shift = max(0, len(text) - MAX_CHARS)
    text = text[shift:]
    words: list[Word] = []
    n, i = len(text), 0
    while i < n:
        if not is_letter(text[i]) and text[i] != MASK:
            i += 1
            continue
        start, letters = i, []
        while i < n:
            c = text[i]
            if is_letter(c) or c == MASK:
                letters.append(c.lower())
            elif not (c in APOSTROPHES and i + 1 < n and is_letter(text[i + 1])):
                break
            i += 1
        cut = i < n and text[i] == "-" and (i + 1 == n or text[i + 1] in " \t\r\n")
        word = unmasked("".join(letters))
        if word:
            words.append(Word(shortened(word) + ("-" if cut and word != MASK else ""), start + shift, i + shift))
    out = []
    for k, word in enumerate(words):
        if word.text.endswith("-"):
            word.text = word.text[:-1]
            if k + 1 < len(words) and words[k + 1].text.startswith(word.text):
                continue
        out.append(word)
    return out


def unmasked(word: str) -> str:
    """The mask for a word with letters starred out; asterisks for emphasis, for a footnote or in a number go away."""
    core = word.strip(MASK)
    if MASK not in word:
        return word
    before, after = len(word) - len(word.lstrip(MASK)), len(word) - len(word.rstrip(MASK))
    if any("0" <= c <= "9" for c in word):
        return word.replace(MASK, "")
    if not core:
        return MASK if before >= 2 else ""
    return MASK if MASK in core or (before >= 2) != (after >= 2) else core


def shortened(word: str) -> str:
    """A letter drawn out ("sooooo") stands once."""
    return re.sub(r"([^0-9])\1\1+", r"\1", word) if len(word) >= 4 else word


def is_number(word: str) -> bool:
    return word in NUMBERS or any("0" <= c <= "9" for c in word)


def card_unmasked(words: list[Word]) -> list[Word]:
    """Without the masks that stand beside a number: "**** **** 1234" is a card."""
    beside = [False] * len(words)
    for order in (range(len(words)), range(len(words) - 1, -1, -1)):
        card = False
        for k in order:
            beside[k] |= card
            card = is_number(words[k].text) or card and words[k].text == MASK
    return [w for w, b in zip(words, beside) if not (b and w.text == MASK)]


def normalise(text: str) -> list[Word]:
    """The words of a turn as the model sees them: one form for all ways in which recognisers write the same speech."""
    words = card_unmasked([w for w in split(text) if w.text not in FILLERS])
    # Tails that lost their apostrophe to a space: "don t", "it s".
    joined: list[Word] = []
    for w in words:
        if w.text in TAILS and joined and (len(joined[-1].text) > 1 or joined[-1].text == "i") and not is_number(joined[-1].text):
            joined[-1] = Word(joined[-1].text + w.text, joined[-1].start, w.end)
        else:
            joined.append(w)
    words = []
    for w in joined:
        t = SAME.get(w.text, w.text)
        if words:
            last = words[-1].text
            both = PAIRS.get((last, t)) or ("cant" if (last, t) == ("can", "not") else last + "nt" if t == "not" and last in NEGATED else None)
            if both:
                words[-1] = Word(both, words[-1].start, w.end)
                continue
        words.append(Word(t, w.start, w.end))
    # Numbers: one mark for a run of them, another for ordinals.
    numeric = [is_number(w.text) for w in words]
    marked: list[Word] = []
    for k, w in enumerate(words):
        t = w.text
        if t in ORDINALS or (t[0].isdigit() and t[-2:] in ("st", "nd", "rd", "th")):
            t = "#th"
        elif numeric[k]:
            t = "#"
        else:
            before, after = k > 0 and numeric[k - 1], k + 1 < len(words) and numeric[k + 1]
            if t in NUMBERS_NEXT_TO_NUMBERS and (before or after) or t in NUMBERS_BETWEEN_NUMBERS and before and after:
                t = "#"
        if t == "#" and marked and marked[-1].text == "#":
            marked[-1] = Word("#", marked[-1].start, w.end)
        else:
            marked.append(Word(t, w.start, w.end))
    # Said twice in a row: "i i", "you're not you're not".
    out: list[Word] = []
    for w in marked:
        out.append(w)
        for size in (1, 2, 3):
            if len(out) >= 2 * size and all(out[-1 - j].text == out[-1 - size - j].text for j in range(size)):
                end = out[-1].end
                del out[-size:]
                out[-1] = Word(out[-1].text, out[-1].start, end)
                break
    return out[-MAX_WORDS:]


def bucket(key: bytes) -> int:
    """Where a feature's weights stand."""
    return ((crc32(key) * 0x9E3779B1) & 0xFFFFFFFF) >> (32 - BITS)


def grams(space: str, words: list[str], longest: int, skips: bool) -> list[tuple[int, int, int]]:
    """Word n-grams of one name space, as (bucket, first word, last word)."""
    found = []
    head = space.encode()
    enc = [w.encode() for w in words]
    marked = [b"^"] + enc + [b"$"]
    for k, w in enumerate(enc):
        found.append((bucket(head + b"1" + w), k, k))
    if longest >= 2:
        for k in range(len(marked) - 1):
            found.append((bucket(head + b"2" + marked[k] + b" " + marked[k + 1]), max(k - 1, 0), min(k, len(enc) - 1)))
    if longest >= 3:
        for k in range(len(marked) - 2):
            found.append((bucket(head + b"3" + b" ".join(marked[k:k + 3])), max(k - 1, 0), min(k + 1, len(enc) - 1)))
    if skips:
        for k in range(len(enc) - 2):
            found.append((bucket(head + b"s" + enc[k] + b" " + enc[k + 2]), k, k + 2))
    return found


def letters(space: str, words: list[str]) -> list[tuple[int, int, int]]:
    """Letter n-grams (3 to 5) inside words, so that unseen forms of a word share weights with seen ones."""
    found = []
    head = space.encode()
    for k, w in enumerate(words):
        if w.startswith("#"):
            continue
        framed = ("<" + w[:24] + ">")
        for size in (3, 4, 5):
            for i in range(len(framed) - size + 1):
                found.append((bucket(head + framed[i:i + size].encode()), k, k))
    return found


# A turn's features of one name space share 1 out: each has 1 / sqrt(count), so that long turns do not shout.
OWN = ("w", "c")
CONTEXT = ("a",)
SPACES = {
    "w": lambda v: grams("w", v.words, 3, True),
    "c": lambda v: letters("c", v.words),
    "a": lambda v: grams("a", v.agent, 2, False),
}
SHORT = 4
HEADS = ("sentiment", "below 2.75", "below 3.5", "above 6.5", "frustration", "urgency", "filler")
SHAPE = "p0 p1 p2 p3 p4 p5 p6 s0 s1 s2 s3 has_agent short numbers length".split()
PAST = "words low high filler last before_last recent lowest mean low_share repeated numbers length".split()
OUTPUTS = ("sentiment", "frustration", "urgency", "filler", "confidence", "history")


class View:
    """A turn and its context, normalised once."""

    def __init__(self, text: str, earlier: list[tuple[str, str]]):
        self.words = [w.text for w in normalise(text)]
        self.callers = [[w.text for w in normalise(t)] for who, t in earlier if who == "caller"]
        agents = [t for who, t in earlier if who == "agent"]
        self.agent = [w.text for w in normalise(agents[-1])] if agents else []


def space(name: str, view: View) -> list[tuple[int, float]]:
    """The features of one name space, with their values."""
    found = SPACES[name](view)
    return [(b, 1.0 / math.sqrt(len(found))) for b, _, _ in found]


def repeated(view: View) -> float:
    """How much of the turn's word pairs the caller has said before (0 to 1)."""
    pairs = list(zip(view.words, view.words[1:]))
    said = {p for words in view.callers for p in zip(words, words[1:])}
    return sum(p in said for p in pairs) / len(pairs) if pairs else 0.0


def centred(rating: float) -> float:
    """In units of two points around neutral."""
    return (rating - 5.0) / 2.0


def numbers(view: View) -> float:
    return sum(w.startswith("#") for w in view.words) / max(len(view.words), 1)


def shape(view: View, own, context) -> list[float]:
    """What the trees see of the words: the linear heads without and with the agent's last words, and the turn's shape."""
    n = len(view.words)
    return [centred(context[0]), *context[1:7], centred(own[0]), *own[1:4], 1.0 if view.agent else 0.0, 1.0 if n <= SHORT else 0.0,
            numbers(view), math.log1p(n) / 3.0]


def past(view: View, rating: float, context, ratings: list[float]) -> list[float]:
    """What the trees of history see: the rating of the words, how sure they are, and the ratings so far (oldest first, at least one)."""
    r = [centred(x) for x in ratings]
    recent, weight, total = 0.0, 1.0, 0.0
    for x in reversed(r):
        recent += weight * x
        total += weight
        weight *= 0.6
    return [centred(rating), context[1], context[3], context[6], r[-1], r[-2] if len(r) > 1 else r[-1], recent / total, min(r), sum(r) / len(r),
            min(sum(x < -0.75 for x in r), 3) / 3.0, repeated(view), numbers(view), math.log1p(len(view.words)) / 3.0]


def fingerprint() -> int:
    """Stands in the weights file: weights made for other features are refused."""
    return crc32(f"{BITS} {MAX_CHARS} {MAX_WORDS} {MAX_EARLIER} {SHORT} {''.join(OWN + CONTEXT)} {len(HEADS)} {' '.join(SHAPE + PAST)} {' '.join(OUTPUTS)} v2".encode())
