"""MiniLM in plain PyTorch, with the rater's heads, and how a turn in its context becomes tokens."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as nnf

from features import View, normalise

HEADS = 7  # sentiment, below 2.75, below 3.5, above 6.5, frustration, urgency, filler
CLS, SEP, UNK = 101, 102, 100
# How many pieces of each part are looked at: the turn (its beginning and its end), the caller's last turn, the agent's, and
# the caller's two turns before.
OWN_HEAD, OWN_TAIL, LAST, AGENT, OLDER = 12, 44, 16, 10, 12
MAX_TOKENS = OWN_HEAD + OWN_TAIL + LAST + AGENT + OLDER + 5


class WordPiece:
    """The vocabulary's greedy longest-match pieces of normalised words, as numbers of the published vocabulary."""

    def __init__(self, vocab: str, kept: str | None = None):
        """`kept` names a file with the pieces that the rater keeps; without it, all are."""
        with open(vocab, encoding="utf-8") as file:
            self.ids = {line.rstrip("\n"): place for place, line in enumerate(file)}
        if kept:
            with open(kept, encoding="utf-8") as file:
                few = set(file.read().split("\n"))
            self.ids = {piece: place for piece, place in self.ids.items() if piece in few}
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
                return [UNK]
        return pieces

    def words(self, words: list[str]) -> list[int]:
        return [p for w in words for p in self.word("number" if w == "#" else "third" if w == "#th" else w[:40])]

    def turn(self, view: View) -> tuple[list[int], list[int]]:
        """Tokens and segments: the turn; then the caller's last turn, the agent's, and the caller's two before."""
        own = self.words(view.words)
        if len(own) > OWN_HEAD + OWN_TAIL:
            own = own[:OWN_HEAD] + own[-OWN_TAIL:]
        last = self.words(view.callers[-1])[-LAST:] if view.callers else []
        agent = self.words(view.agent)[-AGENT:]
        older = self.words([w for words in view.callers[-3:-1] for w in words])[-OLDER:]
        first = [CLS, *own, SEP]
        second = [*last, SEP, *agent, SEP, *older, SEP]
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
    def __init__(self, folder: str, layers: list[int], outputs: int = HEADS):
        super().__init__()
        config = json.load(open(f"{folder}/config.json"))
        width, inner = config["hidden_size"], config["intermediate_size"]
        w = {k.removeprefix("bert."): v.float() for k, v in load_file(f"{folder}/model.safetensors").items()}
        self.word = nn.Embedding.from_pretrained(w["embeddings.word_embeddings.weight"], freeze=True)
        self.place = nn.Embedding.from_pretrained(w["embeddings.position_embeddings.weight"][:128], freeze=False)
        self.kind = nn.Embedding.from_pretrained(w["embeddings.token_type_embeddings.weight"], freeze=False)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.norm.load_state_dict({"weight": w["embeddings.LayerNorm.weight"], "bias": w["embeddings.LayerNorm.bias"]})
        self.layers = nn.ModuleList()
        for number in layers:
            layer, p = Layer(width, config["num_attention_heads"], inner), f"encoder.layer.{number}."
            for part in ("weight", "bias"):
                getattr(layer.qkv, part).data = torch.cat([w[f"{p}attention.self.{n}.{part}"] for n in ("query", "key", "value")])
                for mine, theirs in (("out", "attention.output.dense"), ("norm1", "attention.output.LayerNorm"), ("up", "intermediate.dense"),
                                     ("down", "output.dense"), ("norm2", "output.LayerNorm")):
                    getattr(getattr(layer, mine), part).data = w[f"{p}{theirs}.{part}"].clone()
            self.layers.append(layer)
        self.head = nn.Linear(2 * width, outputs)
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
