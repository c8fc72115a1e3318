"""Trains the embedded rater and writes `weights.bin` and `model.pkl`, which `golden.py` then uses.

usage: train.py DATA OUT

DATA holds train-calls.jsonl, dev-calls.jsonl and rated-sentences.jsonl. Three steps, each trained on predictions that the
one before made for turns it had not seen (folds keep a writer's calls together):
1. "own": ridge regression on the turn's own n-grams;
2. "context": ridge regression on the turn's n-grams and those of what was said before;
3. trees on both, on the ratings so far, and on the turn's shape.
The kernel form of ridge regression is used (fewer turns than features); its weights are then written out per feature.
"""

from __future__ import annotations

import pickle
import sys
import time

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from sklearn.ensemble import HistGradientBoostingRegressor

import data
import features as F
from shipped import Linear, Model, views_of

SCALES = {"own": {"w": 1.0, "c": 1.0}, "context": {"w": 1.0, "c": 1.0, "p": 0.7, "e": 0.7, "a": 0.35}}
ALPHA = {"own": 1.0, "context": 0.6}
WEIGHTS = {"call": 1.0, "cfpb": 0.35, "multidogo": 0.35, "natcs": 0.5, "goemotions": 0.3}
RISING = {"p0", "s0", "last"}
FALLING = {"p1"}
ROUNDS = 2
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
        self.alpha = ALPHA[stage]
        self.spaces = spaces
        n = next(iter(spaces.values())).shape[0]
        self.kernel = np.zeros((n, n), np.float32)
        for s, k in self.scale.items():
            x = spaces[s] @ sp.diags(self.idf[s])
            other = x.T.tocsc()
            for i in range(0, n, 500):
                self.kernel[i:i + 500] += np.float32(k) * (x[i:i + 500] @ other).toarray()
        self.kernel += np.float32(1.0)

    def solve(self, rows, want, weight):
        root = np.sqrt(weight[rows]).astype(np.float32)
        mean = (weight[rows, None] * want[rows]).sum(0) / weight[rows].sum()
        a = self.kernel[np.ix_(rows, rows)] * root[:, None] * root[None]
        a[np.diag_indices_from(a)] += np.float32(self.alpha)
        factor = scipy.linalg.cho_factor(a, lower=True, overwrite_a=True, check_finite=False)
        return scipy.linalg.cho_solve(factor, (want[rows] - mean) * root[:, None]) * root[:, None], mean

    def unseen(self, want, weight, fold):
        out = np.zeros_like(want)
        for f in np.unique(fold):
            rows, held = np.where(fold != f)[0], np.where(fold == f)[0]
            dual, mean = self.solve(rows, want, weight)
            out[held] = self.kernel[np.ix_(held, rows)] @ dual + mean
        return out

    def weights(self, want, weight):
        """Weights per bucket and head, and the constant."""
        rows = np.arange(len(want))
        dual, mean = self.solve(rows, want, weight)
        table = sum(k * (self.spaces[s].T @ dual) * (self.idf[s] ** 2)[:, None] for s, k in self.scale.items())
        return table, mean + dual.sum(0)


class Trees:
    """Gradient-boosted trees, flattened: inner nodes (feature, threshold, left, right), leaves with values."""

    def __init__(self, seed, leaves=12, rounds=150, monotone=False):
        signs = [1 if n in RISING else -1 if n in FALLING else 0 for n in F.SUMMARY] if monotone else None
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
    where = {(t.call, t.index): i for i, t in enumerate(turns) if t.call >= 0}
    return [[where[(t.call, k)] for who, _, k in t.earlier if who == "caller"] if t.call >= 0 else [] for t in turns]


def summaries(views, own, context, ratings, earlier):
    return np.array([F.summary(v, own[i], context[i], [ratings[j] for j in earlier[i]]) for i, v in enumerate(views)], np.float32)


def main():
    folder, out = sys.argv[1:3]
    calls = data.training_calls(folder)
    data.swapped(calls, 1)  # the agent's words must not stand for the caller's mood
    turns = [t for c in calls for t in c.turns]
    count = len(turns)
    turns += data.sentences_of(f"{folder}/rated-sentences.jsonl")
    views = views_of(turns)
    want, weight, fold = targets(turns), np.array([WEIGHTS[t.source] for t in turns]), np.array([t.fold for t in turns])
    earlier = earlier_of(turns)
    spaces = {name: matrix(views, name) for name in F.SPACES}
    say("features")
    stages, unseen = {}, {}
    for stage, names in (("own", F.OWN), ("context", F.OWN + F.CONTEXT)):
        ridge = Ridge(stage, spaces)
        unseen[stage] = ridge.unseen(want, weight, fold)
        stages[stage] = Linear(names, *ridge.weights(want, weight))
        say(stage)
    del ridge
    ratings = np.clip(unseen["context"][:, 0], 1, 10)
    for _ in range(ROUNDS):
        rows = summaries(views, unseen["own"], unseen["context"], ratings, earlier)
        for f in np.unique(fold):
            kept = fold != f
            ratings[~kept] = np.clip(Trees(0, monotone=True).fit(rows[kept], want[kept, 0], weight[kept]).predict(rows[~kept]), 1, 10)
    say("trees on unseen turns; mean error on calls", np.abs(ratings - want[:, 0])[:count].mean())
    rows = summaries(views, unseen["own"], unseen["context"], ratings, earlier)
    near = (np.abs(ratings - want[:, 0]) <= 1.0).astype(float)
    forests = [Trees(0, monotone=True).fit(rows, want[:, 0], weight).packed()]
    forests += [Trees(0, rounds=80).fit(rows, y, weight).packed() for y in (want[:, 4], want[:, 5], want[:, 6])]
    forests += [Trees(0, leaves=6, rounds=60).fit(rows, near, weight).packed()]
    model = Model(stages["own"], stages["context"], forests)
    np.savez(f"{out}/unseen.npz", own=unseen["own"], context=unseen["context"], ratings=ratings, rows=rows, want=want)
    pickle.dump(model, open(f"{out}/model.pkl", "wb"))
    model.write(f"{out}/weights.bin")
    say("written")


if __name__ == "__main__":
    main()
