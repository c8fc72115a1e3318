"""MiniLM in plain PyTorch, with the rater's heads, and how a turn in its context becomes tokens."""

from __future__ import annotations

import math
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional as nnf

from features import View

HEADS = 7  # sentiment, below 2.75, below 3.5, above 6.5, frustration, urgency, filler
# How many pieces of each part are looked at: the turn (its beginning and its end), and the agent's last words.
OWN_HEAD, OWN_TAIL, AGENT = 12, 44, 20
MAX_TOKENS = OWN_HEAD + OWN_TAIL + AGENT + 3
WIDTH, INNER, ATTENTION = 384, 1536, 12
LANES, QUAD = 16, 4  # outputs and inputs that stand together in the file, as the program multiplies them
# Marks of normalised words, and what stands for them.
SPELT = {"#": "number", "#th": "third", "*": "fuck"}


class WordPiece:
    """The vocabulary's greedy longest-match pieces of normalised words, as numbers of the published vocabulary."""

    def __init__(self, names: list[str], kept: str | None = None):
        """`names` in the order of their numbers; `kept` names a file with the pieces that the rater keeps; without it, all are."""
        self.ids = {piece: place for place, piece in enumerate(names)}
        if kept:
            with open(kept, encoding="utf-8") as file:
                few = set(file.read().split("\n"))
            self.ids = {piece: place for piece, place in self.ids.items() if piece in few}
        self.cls, self.sep, self.unk = (self.ids[mark] for mark in ("[CLS]", "[SEP]", "[UNK]"))
        self.known: dict[str, list[int]] = {}

    def word(self, word: str) -> list[int]:
        found = self.known.get(word)
        if found is None:
            found = self.known[word] = self._word(word)
        return found

    def _word(self, word: str) -> list[int]:
        pieces, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    pieces.append(self.ids[piece])
                    start = end
                    break
            else:
                return [self.unk]
        return pieces

    def words(self, words: list[str]) -> list[int]:
        return [p for w in words for p in self.word(SPELT.get(w, w[:40]))]

    def turn(self, view: View) -> tuple[list[int], list[int]]:
        """Tokens and segments: the turn; then the agent's last words."""
        own = self.words(view.words)
        if len(own) > OWN_HEAD + OWN_TAIL:
            own = own[:OWN_HEAD] + own[-OWN_TAIL:]
        first = [self.cls, *own, self.sep]
        second = [*self.words(view.agent)[-AGENT:], self.sep]
        return first + second, [0] * len(first) + [1] * len(second)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x, mask, drop: float, first_only: bool = False):
        """With `first_only`, the result has the first token alone, which still sees all."""
        b, n, d = x.shape
        heads = lambda y: y.view(b, y.shape[1], self.heads, d // self.heads).transpose(1, 2)
        if first_only:
            w, bias = self.qkv.weight, self.qkv.bias
            q, kv = nnf.linear(x[:, :1], w[:d], bias[:d]), nnf.linear(x, w[d:], bias[d:])
            q, k, v = heads(q), heads(kv[..., :d]), heads(kv[..., d:])
            x = x[:, :1]
        else:
            q, k, v = (heads(y) for y in self.qkv(x).split(d, dim=2))
        a = nnf.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        a = self.out(a.transpose(1, 2).reshape(b, x.shape[1], d))
        x = self.norm1(x + nnf.dropout(a, drop, self.training))
        h = self.down(nnf.gelu(self.up(x)))
        return self.norm2(x + nnf.dropout(h, drop, self.training))


class Encoder(nn.Module):
    def __init__(self, pieces: int, layers: int = 6, outputs: int = HEADS, places: int = MAX_TOKENS):
        super().__init__()
        self.word = nn.Embedding(pieces, WIDTH)
        self.word.weight.requires_grad = False
        self.place = nn.Embedding(places, WIDTH)
        self.kind = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer(WIDTH, ATTENTION, INNER) for _ in range(layers))
        self.head = nn.Linear(2 * WIDTH, outputs)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.drop = 0.1

    def forward(self, ids, kinds, lengths):
        n = ids.shape[1]
        here = torch.arange(n)[None, :] < lengths[:, None]
        x = self.norm(self.word(ids) + self.place.weight[:n][None] + self.kind(kinds))
        x = nnf.dropout(x, self.drop, self.training)
        mask = here[:, None, None, :]
        for layer in self.layers[:-1]:
            x = layer(x, mask, self.drop)
        # The last layer is worked out for the first token only: a sixth of the time saved. The turn's own words are
        # averaged one layer below.
        own = (here & (kinds == 0)).unsqueeze(-1).to(x.dtype)
        mean = (x * own).sum(1) / own.sum(1)
        first = self.layers[-1](x, mask, self.drop, first_only=True)[:, 0]
        return self.head(nnf.dropout(torch.cat([first, mean], 1), self.drop, self.training))


def batch(rows: list[tuple[list[int], list[int]]]):
    longest = max(len(r[0]) for r in rows)
    pad = lambda r: r + [0] * (longest - len(r))
    return (torch.tensor([pad(r[0]) for r in rows]), torch.tensor([pad(r[1]) for r in rows]), torch.tensor([len(r[0]) for r in rows]))


def published(folder: str) -> tuple[dict, list[str]]:
    """The weights of the published MiniLM in our names, and its pieces."""
    from safetensors.torch import load_file

    w = {k.removeprefix("bert."): v.float() for k, v in load_file(f"{folder}/model.safetensors").items()}
    state = {"word.weight": w["embeddings.word_embeddings.weight"], "place.weight": w["embeddings.position_embeddings.weight"][:MAX_TOKENS],
             "kind.weight": w["embeddings.token_type_embeddings.weight"]}
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = w[f"embeddings.LayerNorm.{part}"]
        for n in range(sum(k.endswith("attention.self.query.weight") for k in w)):
            theirs = f"encoder.layer.{n}."
            state[f"layers.{n}.qkv.{part}"] = torch.cat([w[f"{theirs}attention.self.{m}.{part}"] for m in ("query", "key", "value")])
            for mine, name in (("out", "attention.output.dense"), ("norm1", "attention.output.LayerNorm"), ("up", "intermediate.dense"),
                               ("down", "output.dense"), ("norm2", "output.LayerNorm")):
                state[f"layers.{n}.{mine}.{part}"] = w[f"{theirs}{name}.{part}"]
    with open(f"{folder}/vocab.txt", encoding="utf-8") as file:
        return state, [line.rstrip("\n") for line in file]


def shipped(path: str) -> tuple[dict, list[str]]:
    """The weights in an `encoder.bin`, as floats again, and its pieces: where the next training starts."""
    with open(path, "rb") as file:
        data = file.read()
    _, layers, count, text = struct.unpack_from("<IIII", data, 4)
    at = 20
    ends = np.frombuffer(data, "<u4", count, at)
    at += 4 * count
    names = [data[at + start:at + end].decode() for start, end in zip([0, *ends[:-1]], ends)]
    at += text

    def real(*shape):
        nonlocal at
        out = np.frombuffer(data, "<f4", math.prod(shape), at).reshape(shape)
        at += out.nbytes
        return torch.tensor(out)

    def whole(size):
        nonlocal at
        out = np.frombuffer(data, np.int8, size, at)
        at += size
        return torch.tensor(out).float()

    def linear(outputs, inputs):
        nonlocal at
        scale, bias = real(outputs), real(outputs)
        at += 4 * outputs
        at += -at % (LANES * QUAD)
        rows = whole(outputs * inputs).view(outputs // LANES, inputs // QUAD, LANES, QUAD).permute(0, 2, 1, 3)
        return rows.reshape(outputs, inputs) * scale[:, None], bias

    state = {}
    fixed = len(data) - at - 4 * count - count * WIDTH
    for name, rows in (("word", count), ("place", places_in(fixed, layers))):
        scale = real(rows)
        state[f"{name}.weight"] = whole(rows * WIDTH).view(rows, WIDTH) * scale[:, None]
    state["kind.weight"] = real(2, WIDTH)
    state["norm.weight"], state["norm.bias"] = real(WIDTH), real(WIDTH)
    for n in range(layers):
        for part, *size in (("qkv", 3 * WIDTH, WIDTH), ("out", WIDTH, WIDTH), ("norm1",), ("up", INNER, WIDTH), ("down", WIDTH, INNER), ("norm2",)):
            weight, bias = linear(*size) if size else (real(WIDTH), real(WIDTH))
            state[f"layers.{n}.{part}.weight"], state[f"layers.{n}.{part}.bias"] = weight, bias
    state["head.weight"], state["head.bias"] = real(HEADS, 2 * WIDTH), real(HEADS)
    assert at == len(data)
    return state, names


def places_in(size: int, layers: int) -> int:
    """How many places' rows are in the part of a file after the pieces' rows: what is left when all else is taken off."""
    rest = 4 * (4 * WIDTH + HEADS * (2 * WIDTH + 1)) + layers * (8 * WIDTH * 2 + 12 * (3 * WIDTH + WIDTH + INNER + WIDTH)
                                                               + WIDTH * (3 * WIDTH + WIDTH) + 2 * WIDTH * INNER)
    return (size - rest) // (WIDTH + 4)
