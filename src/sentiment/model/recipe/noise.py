"""What goes wrong between a caller's mouth and the rater, for training and for the figures with misheard words."""

from __future__ import annotations

import random
import re

SWEAR = re.compile(r"\b(f+u+c+k\w*|(?:bull)?shit\w*|damn\w*|goddamn\w*|crap\w*|arse\w*|asshole\w*|bastard\w*|bitch\w*|bollocks|bloody|piss\w*|dick\w*|hell|wank\w*|twat\w*|cunt\w*)\b", re.I)


def sound(word: str) -> str:
    """A rough key of how a word sounds: words of one key are taken for one another."""
    word = re.sub(r"[^a-z]", "", word.lower())
    for old, new in (("ph", "f"), ("ck", "k"), ("gh", ""), ("wr", "r"), ("kn", "n"), ("sh", "s"), ("th", "t"), ("ch", "s")):
        word = word.replace(old, new)
    key = word[:1] + re.sub(r"[aeiouyhw]", "", word[1:])
    return re.sub(r"(.)\1+", r"\1", key.translate(str.maketrans("bdgvzcqj", "ptkfskkk")))


class Mishearing:
    """Exchanges, drops and adds words as a recogniser does, from the words of `texts`."""

    def __init__(self, texts):
        count: dict[str, int] = {}
        for text in texts:
            for word in re.findall(r"[a-z']+", text.lower()):
                count[word] = count.get(word, 0) + 1
        self.common = sorted(count, key=count.get, reverse=True)[:1500]
        self.alike: dict[str, list[str]] = {}
        for word in sorted(count, key=count.get, reverse=True)[:12000]:
            self.alike.setdefault(sound(word), []).append(word)

    def hear(self, text: str, share: float, rng: random.Random) -> str:
        out = []
        for word in text.split():
            if rng.random() >= share:
                out.append(word)
                continue
            kind = rng.random()
            if kind < 0.6:
                alike = [w for w in self.alike.get(sound(word), []) if w != word.lower()]
                out.append(rng.choice(alike) if alike and rng.random() < 0.6 else rng.choice(self.common))
            elif kind > 0.85:
                out += [word, rng.choice(self.common)]
        return " ".join(out)


def masked(text: str, rng: random.Random) -> str:
    """Swear words as recognisers write them when told to: starred out, named, or gone."""
    kind = rng.randrange(4)
    return SWEAR.sub(lambda m: ("****", "[expletive]", m[0][0] + "***", "")[kind], text)
