"""Writes `encoder.bin` from a checkpoint of finetune.py, and `encoder-golden.json`: what it makes of sentences of our own, for the Rust tests.

usage: pack.py START CHECKPOINT OUT

START is the `encoder.bin` that the training began with: its pieces are the rater's.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from zlib import crc32

import numpy as np
import torch
from scipy.special import erf, softmax

import golden
from encoder import ATTENTION, HEADS, LANES, MAX_TOKENS, QUAD, WIDTH, WordPiece, shipped
from features import View

SPEC = "minilm 384 12 1536 own 12+44 agent 20 v3"
LEVELS = np.float32(127)


def by_row(table):
    """Eight-bit rows, each with a scale of its own."""
    scale = np.maximum(np.abs(table).max(1), 1e-12).astype(np.float32) / np.float32(127)
    return np.clip(np.round(table / scale[:, None]), -127, 127).astype(np.int8), scale


def panels(table):
    """Sixteen outputs by sixteen; of these, four inputs by four."""
    outputs, inputs = table.shape
    return table.reshape(outputs // LANES, LANES, inputs // QUAD, QUAD).transpose(0, 2, 1, 3)


class Packed:
    """The encoder as it ships, in numpy: the reference for the program's own."""

    def __init__(self, state: dict, pieces: WordPiece):
        state = {k: v.float().numpy() for k, v in state.items()}
        self.names = sorted(pieces.ids, key=lambda piece: piece.encode())
        self.row = {pieces.ids[piece]: place for place, piece in enumerate(self.names)}
        self.words = by_row(state["word.weight"][[pieces.ids[piece] for piece in self.names]])
        self.places = by_row(state["place.weight"][:MAX_TOKENS])
        self.kinds = state["kind.weight"]
        self.norm = state["norm.weight"], state["norm.bias"]
        self.layers = []
        for number in range(sum(k.endswith("qkv.weight") for k in state)):
            part = lambda name: (*by_row(state[f"layers.{number}.{name}.weight"]), state[f"layers.{number}.{name}.bias"])
            norm = lambda name: (state[f"layers.{number}.{name}.weight"], state[f"layers.{number}.{name}.bias"])
            self.layers.append((part("qkv"), part("out"), norm("norm1"), part("up"), part("down"), norm("norm2")))
        self.head = state["head.weight"], state["head.bias"]

    def write(self, path: str):
        text = [piece.encode() for piece in self.names]
        with open(path, "wb") as file:
            real = lambda *arrays: [file.write(np.asarray(a, "<f4").tobytes()) for a in arrays]
            file.write(b"SSLE" + struct.pack("<IIII", crc32(SPEC.encode()), len(self.layers), len(text), sum(map(len, text))))
            file.write(np.cumsum([len(t) for t in text]).astype("<u4").tobytes() + b"".join(text))
            for table, scale in (self.words, self.places):
                real(scale)
                file.write(table.tobytes())
            real(*self.kinds, *self.norm)
            for qkv, out, norm1, up, down, norm2 in self.layers:
                for block in (qkv, out, norm1, up, down, norm2):
                    if len(block) == 2:
                        real(*block)
                    else:
                        real(block[1], block[2])
                        file.write(block[0].astype("<i4").sum(1, dtype="<i4").tobytes())
                        file.write(bytes(-file.tell() % (LANES * QUAD)) + panels(block[0]).tobytes())
            real(*self.head)

    def score(self, rows: list[int], kinds: list[int]) -> np.ndarray:
        rows, kinds = [self.row[r] for r in rows], np.array(kinds)
        words, places = self.words, self.places
        x = words[0][rows] * words[1][rows, None] + places[0][:len(rows)] * places[1][:len(rows), None] + self.kinds[kinds]
        x = normalise(x.astype(np.float32), self.norm)
        for layer in self.layers[:-1]:
            x = self.layer(layer, x, len(rows))
        mean = x[kinds == 0].mean(0)
        first = self.layer(self.layers[-1], x, 1)[0]
        return self.head[0] @ np.concatenate([first, mean]) + self.head[1]

    def layer(self, layer, x, count):
        qkv, out, norm1, up, down, norm2 = layer
        whole = product(x, qkv)
        q, k, v = (whole[:, n * WIDTH:(n + 1) * WIDTH].reshape(len(x), ATTENTION, -1).transpose(1, 0, 2) for n in range(3))
        shares = softmax(q[:, :count] @ k.transpose(0, 2, 1) / np.sqrt(np.float32(WIDTH // ATTENTION)), axis=-1)
        seen = (shares @ v).transpose(1, 0, 2).reshape(count, WIDTH)
        y = normalise(product(seen, out) + x[:count], norm1)
        inner = product(y, up)
        inner = 0.5 * inner * (1 + erf(inner / np.sqrt(2)))
        return normalise(product(inner.astype(np.float32), down) + y, norm2)


def product(x, matrix):
    """The product in whole numbers: each row of x brought to 0..LEVELS with a zero of its own."""
    table, scale, bias = matrix
    low, high = np.minimum(x.min(1), 0), np.maximum(x.max(1), 0)
    by = np.where(high > low, (high - low) / LEVELS, 1).astype(np.float32)
    zero = np.round(-low / by)
    levels = np.round(np.clip(x / by[:, None] + zero[:, None], 0, LEVELS)).astype(np.int32) - zero[:, None].astype(np.int32)
    return (levels.astype(np.float64) @ table.T.astype(np.float64)).astype(np.float32) * (by[:, None] * scale) + bias


def normalise(x, norm):
    mean = x.mean(1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + 1e-12) * norm[0] + norm[1]


def main():
    start, checkpoint, out = sys.argv[1:4]
    pieces = WordPiece(shipped(start)[1])
    packed = Packed(torch.load(checkpoint), pieces)
    packed.write(f"{out}/encoder.bin")
    rng = random.Random(12)
    rows = []
    for text, earlier in golden.turns(rng, 60):
        ids, kinds = pieces.turn(View(text, [(e["speaker"], e["text"]) for e in earlier]))
        rows.append({"text": text, "earlier": earlier, "rows": [packed.row[i] for i in ids], "own": kinds.count(0),
                     "heads": [round(float(h), 4) for h in packed.score(ids, kinds)]})
    assert all(len(r["heads"]) == HEADS for r in rows)
    with open(f"{out}/encoder-golden.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
