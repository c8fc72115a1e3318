"""Trains the embedded rater's linear stages and trees, and writes `weights.bin` and `model.pkl`, which `golden.py` then uses.

usage: train.py DATA WEAK OUT

DATA holds train-calls.jsonl, street-train.jsonl, history-pairs.jsonl, rated-sentences.jsonl, star-dialogues.jsonl and convabuse-turns.jsonl; WEAK
is what weak.py wrote. Each step is trained on predictions that the one before made for turns it had not seen (folds keep a writer's calls together):
1. "own": ridge regression on the turn's own n-grams;
2. "context": ridge regression on the turn's n-grams and those of the agent's last words;
3. trees on both and on the turn's shape: the rating of the words;
4. trees on that rating and the ratings so far: by how much history moves it.
Ridge regression is solved by conjugate gradients in its dual form; its weights are then written out per feature.
"""

from __future__ import annotations

import pickle
import random
import sys
import time
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from sklearn.ensemble import HistGradientBoostingRegressor

import data
import features as F
import weak
from noise import SWEAR, masked
from shipped import Linear, Model, views_of

SCALES = {"own": {"w": 1.0, "c": 1.0}, "context": {"w": 1.0, "c": 1.0, "a": 0.35}}
ALPHA = {"own": 1.0, "context": 0.6}
WEIGHTS = {"call": 1.0, "cfpb": 0.35, "multidogo": 0.35, "natcs": 0.5, "goemotions": 0.3}
RISING = {"p0", "s0", "last", "before_last", "recent", "lowest", "mean"}
FALLING = {"p1", "low_share"}
STEPS = 80  # of conjugate gradients
BEGAN = time.time()


def say(*what):
    print(f"{time.time() - BEGAN:7.1f}s", *what, flush=True)


def matrix(views, name):
    ends, places, values = [0], [], []
    for view in views:
        for b, x in F.space(name, view):
            places.append(b)
            values.append(x)
        ends.append(len(places))
    m = sp.csr_matrix((np.array(values, np.float32), np.array(places, np.int32), np.array(ends)), shape=(len(views), F.BUCKETS))
    m.sum_duplicates()
    return m


def rarity(m):
    """Rare features tell more than common ones."""
    count = np.asarray((m > 0).sum(0)).ravel()
    return np.where(count > 0, np.log(m.shape[0] / np.maximum(count, 1)) / 5.0, 0.0).astype(np.float32)


def targets(turns):
    s = np.array([t.sentiment for t in turns])
    return np.stack([s, s <= 2.75, s <= 3.5, s >= 6.5, [t.frustration for t in turns], [t.urgency for t in turns], [t.filler for t in turns]],
                    1).astype(np.float64)


class Ridge:
    """One linear stage: all heads over some name spaces."""

    def __init__(self, stage, spaces):
        self.scale = {s: k * k for s, k in SCALES[stage].items()}
        self.idf = {s: rarity(spaces[s]) if s in F.OWN else np.ones(F.BUCKETS, np.float32) for s in self.scale}
        self.alpha = np.float32(ALPHA[stage])
        self.spaces = spaces
        self.x = sum(spaces[s] @ sp.diags(np.float32(k ** 0.5) * self.idf[s]) for s, k in self.scale.items()).tocsr().astype(np.float32)

    def solve(self, rows, want, weight):
        """The dual weights of these rows, and the mean that they are about."""
        x, root = self.x[rows], np.sqrt(weight[rows]).astype(np.float32)[:, None]
        back = x.T.tocsr()
        mean = (weight[rows, None] * want[rows]).sum(0) / weight[rows].sum()
        rest = (root * (want[rows] - mean)).astype(np.float32)
        dual, way = np.zeros_like(rest), rest.copy()
        size = (rest * rest).sum(0)
        for _ in range(STEPS):
            seen = root * way
            seen = root * (x @ (back @ seen) + seen.sum(0)) + self.alpha * way
            step = size / np.maximum((way * seen).sum(0), 1e-12)
            dual += step * way
            rest -= step * seen
            now = (rest * rest).sum(0)
            way = rest + now / np.maximum(size, 1e-12) * way
            size = now
        return root * dual, mean

    def unseen(self, want, weight, fold):
        out = np.zeros_like(want)
        for f in np.unique(fold):
            rows, held = np.where(fold != f)[0], np.where(fold == f)[0]
            dual, mean = self.solve(rows, want, weight)
            out[held] = self.x[held] @ (self.x[rows].T @ dual) + dual.sum(0) + mean
        return out

    def weights(self, want, weight):
        """Weights per bucket and head, and the constant."""
        dual, mean = self.solve(np.arange(len(want)), want, weight)
        table = sum(k * (self.spaces[s].T @ dual) * (self.idf[s] ** 2)[:, None] for s, k in self.scale.items())
        return table, mean + dual.sum(0)


class Trees:
    """Gradient-boosted trees, flattened: inner nodes (feature, threshold, left, right), leaves with values."""

    def __init__(self, seed, leaves=12, rounds=150, names=None):
        """`names`: of the inputs, where trees must rise or fall with some of them."""
        signs = [1 if n in RISING else -1 if n in FALLING else 0 for n in names] if names else None
        self.model = HistGradientBoostingRegressor(max_iter=rounds, learning_rate=0.05, max_leaf_nodes=leaves, min_samples_leaf=30,
                                                   l2_regularization=5, monotonic_cst=signs, random_state=seed, early_stopping=False)

    def fit(self, x, y, w=None):
        self.model.fit(x, y, sample_weight=w)
        return self

    def predict(self, x):
        return self.model.predict(x)

    def packed(self):
        """(base, roots, nodes); a node is (feature, threshold, left, right); 255 marks a leaf whose value is the threshold."""
        roots, nodes = [], []
        for (tree,) in self.model._predictors:
            first = len(nodes)
            roots.append(first)
            for n in tree.nodes:
                if n["is_leaf"]:
                    nodes.append((255, float(n["value"]), 0, 0))
                else:
                    nodes.append((int(n["feature_idx"]), float(n["num_threshold"]), first + int(n["left"]), first + int(n["right"])))
        return float(np.ravel(self.model._baseline_prediction)[0]), roots, nodes


def earlier_of(turns):
    where = {(t.call, t.index): i for i, t in enumerate(turns) if t.call >= 0 and t.weight == 1.0}
    return [[where[(t.call, k)] for who, _, k in t.earlier if who == "caller"] if t.call >= 0 else [] for t in turns]


def turns_of(folder, labels):
    calls = data.training_calls(folder)
    # The agent's words must not stand for the caller's mood; those written to matter stay.
    data.swapped([c for c in calls if not c.turns[0].told], 1)
    turns = [t for c in calls for t in c.turns]
    rng = random.Random(1)
    swearing = [replace(t, text=masked(t.text, rng), weight=0.5) for t in turns if SWEAR.search(t.text)]
    sentences = data.sentences_of(f"{folder}/rated-sentences.jsonl")
    for t in sentences:
        t.weight = WEIGHTS[t.source]
    return turns + swearing + sentences + weak.turns_of(folder, labels)


def main():
    folder, labels, out = sys.argv[1:4]
    turns = turns_of(folder, labels)
    calls = np.array([t.source == "call" and t.weight == 1.0 for t in turns])
    views = views_of(turns)
    want, weight, fold = targets(turns), np.array([t.weight for t in turns]), np.array([t.fold for t in turns])
    spaces = {name: matrix(views, name) for name in F.SPACES}
    say("features", len(turns))
    stages, unseen = {}, {}
    for stage, names in (("own", F.OWN), ("context", F.OWN + F.CONTEXT)):
        ridge = Ridge(stage, spaces)
        unseen[stage] = ridge.unseen(want, weight, fold)
        stages[stage] = Linear(names, *ridge.weights(want, weight))
        say(stage, "mean error on calls", np.abs(unseen[stage][calls, 0] - want[calls, 0]).mean())
    del ridge
    rows = np.array([F.shape(v, unseen["own"][i], unseen["context"][i]) for i, v in enumerate(views)], np.float32)
    ratings, filler = np.zeros(len(turns)), np.zeros(len(turns))
    for f in np.unique(fold):
        kept = fold != f
        ratings[~kept] = np.clip(Trees(0, names=F.SHAPE).fit(rows[kept], want[kept, 0], weight[kept]).predict(rows[~kept]), 1, 10)
    say("trees on unseen turns; mean error on calls", np.abs(ratings - want[:, 0])[calls].mean())
    near = (np.abs(ratings - want[:, 0]) <= 1.0).astype(float)
    forests = [Trees(0, names=F.SHAPE).fit(rows, want[:, 0], weight).packed()]
    forests += [Trees(0, rounds=80).fit(rows, y, weight).packed() for y in (want[:, 4], want[:, 5], want[:, 6])]
    forests += [Trees(0, leaves=6, rounds=60).fit(rows, near, weight).packed()]
    earlier = earlier_of(turns)
    told = np.array([i for i in np.where(calls)[0] if earlier[i]])
    past = np.array([F.past(views[i], ratings[i], unseen["context"][i], [ratings[j] for j in earlier[i]]) for i in told], np.float32)
    rest = want[told, 0] - ratings[told]
    moved = np.zeros(len(told))
    for f in np.unique(fold[told]):
        kept = fold[told] != f
        moved[~kept] = Trees(0, rounds=80, names=F.PAST).fit(past[kept], rest[kept]).predict(past[~kept])
    say("history: mean error", np.abs(rest).mean(), "->", np.abs(rest - moved).mean(), "moves by", np.percentile(moved, [1, 10, 50, 90, 99]).round(2))
    forests += [Trees(0, rounds=80, names=F.PAST).fit(past, rest).packed()]
    model = Model(stages["own"], stages["context"], forests)
    pickle.dump(model, open(f"{out}/model.pkl", "wb"))
    model.write(f"{out}/weights.bin")
    say("written")


if __name__ == "__main__":
    main()
