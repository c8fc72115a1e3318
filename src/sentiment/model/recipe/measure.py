"""Figures on labelled calls: a cross-check of the program's own `evaluate`, and the calibration's choice.

usage: measure.py DATA OUT
"""

from __future__ import annotations

import pickle
import sys

import numpy as np
from scipy.stats import rankdata, spearmanr

import data

CALM_KINDS = {"calm_bad_facts", "joking", "routine", "third_party_anger", "urgent_calm", "grumpy_baseline"}
WINDOW = 3


def auroc(bad, score):
    ranks = rankdata(score)
    return (ranks[bad].sum() - bad.sum() * (bad.sum() + 1) / 2) / (bad.sum() * (~bad).sum())


def escalated_at(sentiment, filler, threshold=3.0):
    streak = 0
    for place, (s, f) in enumerate(zip(sentiment, filler)):
        if f:
            continue
        streak = streak + 1 if s < threshold else 0
        if streak >= WINDOW:
            return place
    return None


def figures(calls, rated):
    """`rated` has the rows of all caller turns in order: sentiment, frustration, urgency, filler."""
    turns = [t for c in calls for t in c.turns]
    gold, mine = np.array([t.sentiment for t in turns]), np.round(rated[:, 0], 1)
    filler = (rated[:, 3] >= 0.5) & (mine >= 4) & (mine <= 6.5)
    clear = (gold <= 2) | (gold >= 4)
    calm = np.array([t.kind in CALM_KINDS and t.sentiment >= 4 for t in turns])
    hits, false, late, at = 0, 0, [], 0
    for c in calls:
        n = len(c.turns)
        found = escalated_at(mine[at:at + n], filler[at:at + n])
        at += n
        if found is not None:
            hits += c.escalate
            false += not c.escalate
            if c.escalate:
                late.append(found - c.at)
    wanted = sum(c.escalate for c in calls)
    return {"recall": f"{hits}/{wanted}", "false": f"{false}/{len(calls) - wanted}", "late": float(np.median(late)) if late else None,
            "auroc": round(auroc(gold[clear] <= 2, -mine[clear]), 4), "spearman": round(spearmanr(gold, mine)[0], 3),
            "mae": round(np.abs(gold - mine).mean(), 3), "calm<3 %": round(100 * (mine[calm] < 3).mean(), 2)}


def curve(cut):
    """The shape of train.py's CURVE with another cut."""
    return [1, 1.8, cut - 0.25, cut, cut + 0.45, 4.6, 10], [1, 1.8 - (cut - 3) * 0.5, 2.8, 2.97, cut + 0.3, 4.6, 10]


def cross_validated(calls, raw, seed, parts=5):
    """Recall and false escalations when each part of the calls is cut where the others find most at 2 % false."""
    part = np.random.RandomState(seed).permutation(len(calls)) % parts
    starts = np.cumsum([0] + [len(c.turns) for c in calls])

    def found(cut, chosen):
        rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen])
        mine = raw[rows].copy()
        mine[:, 0] = np.interp(mine[:, 0], *curve(cut))
        f = figures([calls[i] for i in chosen], mine)
        return tuple(map(int, f["recall"].split("/"))), tuple(map(int, f["false"].split("/")))

    hits = false = 0
    for p in range(parts):
        others, held = np.where(part != p)[0], np.where(part == p)[0]
        scored = [(found(cut, others), cut) for cut in np.arange(3.0, 3.45, 0.05)]
        allowed = [(recall[0], -cut) for (recall, wrong), cut in scored if wrong[0] <= 0.02 * wrong[1] + 1e-9] or [(0, -3.0)]
        (h, _), (w, _) = found(-max(allowed)[1], held)
        hits, false = hits + h, false + w
    return hits, false


def main():
    folder, out = sys.argv[1:3]
    model = pickle.load(open(f"{out}/model.pkl", "rb"))
    calls = data.calls_of(f"{folder}/dev-calls.jsonl")
    knots, model.knots = model.knots, ([1.0, 10.0], [1.0, 10.0])
    plain = model.rate_calls(calls)
    for seed in range(3):
        print("cut chosen by cross-validation", cross_validated(calls, plain, seed))
    print("without the curve", figures(calls, plain))
    model.knots = knots
    raw = model.rate_calls(calls)
    np.save(f"{out}/dev.npy", raw)
    gold = np.array([[t.sentiment, t.frustration, t.urgency, t.filler] for c in calls for t in c.turns], float)
    print("all", figures(calls, raw))
    print("gold", figures(calls, gold))
    for style in ("lower", "punct"):
        keep = [c for c in calls if c.style == style]
        rows = np.array([c.style == style for c in calls for _ in c.turns])
        print(style, figures(keep, raw[rows]))
    print("frustration", spearmanr(gold[:, 1], raw[:, 1])[0], "mae", np.abs(gold[:, 1] - raw[:, 1]).mean(),
          "urgency", spearmanr(gold[:, 2], raw[:, 2])[0], "mae", np.abs(gold[:, 2] - raw[:, 2]).mean(), "filler auroc", auroc(gold[:, 3] > 0.5, raw[:, 3]))
    near = np.abs(gold[:, 0] - raw[:, 0]) <= 1
    for low in np.arange(0.4, 1.0, 0.1):
        m = (raw[:, 4] >= low) & (raw[:, 4] < low + 0.1)
        print(f"confidence {low:.1f}: {m.sum()} turns, {near[m].mean() if m.any() else 0:.2f} near")
    for seed in (5, 6):
        data.swapped(calls, seed)
        print("agents swapped", figures(calls, model.rate_calls(calls)))


if __name__ == "__main__":
    main()
