"""The rater as it ships: eight-bit linear stages and flattened trees, and the file that the program reads."""

from __future__ import annotations

import struct

import numpy as np

import features as F


def views_of(turns):
    return [F.View(t.text, [(who, text) for who, text, _ in t.earlier]) for t in turns]


def quantised(table):
    scale = np.abs(table).max(0) / 127.0
    return np.clip(np.round(table / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


class Linear:
    """A stage as it ships: eight-bit weights."""

    def __init__(self, names, table, bias):
        self.names = names
        self.table, self.scale = quantised(table)
        self.bias = bias.astype(np.float32)

    def score(self, view):
        total = np.zeros(len(self.bias))
        for name in self.names:
            for b, x in F.space(name, view):
                total += x * self.table[b]
        return total * self.scale + self.bias


def forest_score(packed, row):
    base, roots, nodes = packed
    row = np.asarray(row, np.float32)
    total = base
    for place in roots:
        feature, value, left, right = nodes[place]
        while feature != 255:
            feature, value, left, right = nodes[left if row[feature] <= np.float32(value) else right]
        total += value
    return total


class Model:
    """Linear stages and trees, as the program runs them."""

    def __init__(self, own, context, forests):
        self.own, self.context, self.forests = own, context, forests

    def score(self, view):
        """Sentiment, frustration, urgency, filler and confidence by the words."""
        row = F.shape(view, self.own.score(view), self.context.score(view))
        return [forest_score(f, row) for f in self.forests[:5]]

    def moved(self, view, rating, ratings):
        """By how much history would move a rating of the words, unbounded; nothing where there is none."""
        return forest_score(self.forests[5], F.past(view, rating, self.context.score(view), ratings)) if ratings else 0.0

    def write(self, path):
        with open(path, "wb") as file:
            file.write(b"SSLM" + struct.pack("<IIIII", 3, F.fingerprint(), F.BITS, len(F.HEADS), len(self.forests)))
            for stage in (self.own, self.context):
                file.write(stage.scale.tobytes() + stage.bias.tobytes())
            for base, roots, nodes in self.forests:
                file.write(struct.pack("<fII", base, len(roots), len(nodes)) + np.array(roots, "<u4").tobytes())
                for feature, value, left, right in nodes:
                    file.write(struct.pack("<HHHxxf", feature, left, right, value))
            for stage in (self.own, self.context):
                file.write(stage.table.tobytes())
