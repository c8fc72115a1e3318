"""Chooses the pieces of MiniLM's vocabulary that the rater keeps, and writes them to OUT, one a line.

usage: pieces.py DATA GOEMOTIONS MINILM OUT

Kept: every piece that the training texts hold, every single letter (so that any word can be spelt), and of the other pieces made of plain
letters the most frequent (the published vocabulary is in that order). Pieces with digits never come up: numbers are one mark.
"""

from __future__ import annotations

import re
import sys

import data
from encoder import WordPiece, published
from features import View

FREQUENT = 14_500


def main():
    folder, goemotions, minilm, out = sys.argv[1:5]
    pieces = WordPiece(published(minilm)[1])
    names = list(pieces.ids)
    kept = {"[CLS]", "[SEP]", "[UNK]"}
    kept |= {p for place, p in enumerate(names) if re.fullmatch(r"(##)?[a-z\u00c0-\u024f]", p) or (place < FREQUENT and re.fullmatch(r"(##)?[a-z]+", p))}
    turns = [t for c in data.training_calls(folder) for t in c.turns] + data.sentences_of(f"{folder}/rated-sentences.jsonl")
    texts = {t.text for t in turns} | {text for t in turns for _, text, _ in t.earlier}
    texts |= {line.split("\t")[0] for line in open(f"{goemotions}/goe-train.tsv", encoding="utf-8")}
    seen = {}
    for text in texts:
        for number in pieces.words(View(text, []).words):
            seen[number] = seen.get(number, 0) + 1
    kept |= {names[number] for number, count in seen.items() if count >= 2}
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(p for p in names if p in kept) + "\n")
    print(len(kept), "of", len(names), "pieces;", sum(len(p.encode()) for p in kept), "bytes")


if __name__ == "__main__":
    main()
