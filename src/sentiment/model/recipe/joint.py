"""Both views as one rating, as `joint.rs` has it, and the figures by which its numbers were chosen.

usage: joint.py DATA ENCODER OUT

ENCODER is the packed `encoder.bin`; OUT holds model.pkl. Scores of the watched sets are kept in OUT/scores.pkl: delete it after training again.
"""

from __future__ import annotations

import os
import pickle
import random
import sys
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import data
import features as F
from noise import Mishearing


@dataclass
class Numbers:
    """What `joint.rs` and `history.rs` hold."""

    transformer: float = 0.5
    curve: list = field(default_factory=lambda: [(1.0, 1.0), (3.48, 2.97), (4.8, 4.7), (6.3, 6.6), (7.6, 9.0), (10.0, 10.0)])
    lowered: list = field(default_factory=lambda: [(1.0, 0.2), (2.0, 0.25), (3.0, 0.5), (3.8, 0.7), (4.3, 0.3), (5.0, 0.2)])
    raised: list = field(default_factory=lambda: [(2.5, 0.0), (3.2, 0.25), (4.0, 0.35), (5.0, 0.2)])
    neutral: float = 4.75
    frustration: list = field(default_factory=lambda: [(0.0, 0.0), (0.12, 0.03), (0.2, 0.15), (0.42, 0.48), (0.67, 0.8), (0.765, 0.9), (0.86, 0.99), (1.0, 1.0)])
    filler: float = 0.3


def along(knots, x):
    return float(np.interp(x, [k[0] for k in knots], [k[1] for k in knots]))


@dataclass
class Scored:
    """One turn as both views see it."""

    turn: data.Turn
    heads: np.ndarray
    trees: list
    view: F.View
    context: np.ndarray


def scored(model, encoder, pieces, turns):
    from finetune import predict, view_of
    from shipped import views_of

    heads = predict(encoder, [pieces.turn(view_of(t)) for t in turns])
    out = []
    for t, h, view in zip(turns, heads, views_of(turns)):
        context = model.context.score(view)
        row = F.shape(view, model.own.score(view), context)
        from shipped import forest_score
        out.append(Scored(t, h, [forest_score(f, row) for f in model.forests[:5]], view, context))
    return out


def sets_of(folder, encoder_path, out):
    """The watched sets, scored: name -> list of calls, each a list of turns."""
    path = f"{out}/scores.pkl"
    if os.path.exists(path):
        return pickle.load(open(path, "rb"))
    import torch
    from encoder import Encoder, WordPiece, shipped

    torch.set_num_threads(1)
    model = pickle.load(open(f"{out}/model.pkl", "rb"))
    state, names = shipped(encoder_path)
    encoder = Encoder(len(names))
    encoder.load_state_dict(state)
    pieces = WordPiece(names)
    sets = {"dev": data.calls_of(f"{folder}/dev-calls.jsonl"), "street": data.calls_of(f"{folder}/street-dev.jsonl"), "held out": data.held_out_calls(),
            "pairs": data.held_out_triples(folder)}
    found = {}
    for name, calls in sets.items():
        turns = iter(scored(model, encoder, pieces, [t for c in calls for t in c.turns]))
        found[name] = [(c, [next(turns) for _ in c.turns]) for c in calls]
    ear = Mishearing([t.text for c in sets["dev"] for t in c.turns])
    for share in (0.1, 0.2):
        rng = random.Random(3)
        misheard = [replace(t, text=ear.hear(t.text, share, rng)) for c in sets["dev"] for t in c.turns]
        turns = iter(scored(model, encoder, pieces, misheard))
        found[f"misheard {share:.0%}"] = [(c, [next(turns) for _ in c.turns]) for c in sets["dev"]]
    abuse = data.convabuse(folder, "valid")
    found["abuse"] = list(zip([a for a, _ in abuse], scored(model, encoder, pieces, [t for _, t in abuse])))
    star = data.star(folder, held=True)
    turns = iter(scored(model, encoder, pieces, [t for _, ts in star for t in ts]))
    found["star"] = [(annoyed, [next(turns) for _ in ts]) for annoyed, ts in star]
    pickle.dump(found, open(path, "wb"))
    return found


def words_of(s, n):
    mean = n.transformer * float(np.clip(s.heads[0], 1, 10)) + (1 - n.transformer) * float(np.clip(s.trees[0], 1, 10))
    return along(n.curve, mean)


def filler_of(s):
    return (s.trees[3] + s.heads[6]) / 2


def rate(model, s, ratings, n):
    """(sentiment, filler, words, moved)."""
    from shipped import forest_score

    words = words_of(s, n)
    moved = 0.0
    if ratings:
        moved = forest_score(model.forests[5], F.past(s.view, words, s.context, ratings))
        moved = float(np.clip(moved, -along(n.lowered, words), along(n.raised, words)))
    rating = words + moved
    if filler_of(s) >= n.filler and 4.0 <= rating <= 6.5:
        return 5.0, True, words, moved
    if n.neutral <= rating < 5:
        rating = 5.0
    return round(float(np.clip(rating, 1, 10)), 1), False, words, moved


def rate_call(model, turns, n, past=True):
    out, said = [], []
    for s in turns:
        out.append(rate(model, s, said[-6:] if past else [], n))
        said.append(out[-1][0])
    return out


def streak(ratings, threshold=3.0, window=3):
    run = 0
    for rating, filler in ratings:
        if not filler:
            run = run + 1 if rating < threshold else 0
            if run >= window:
                return True
    return False


def sustained(ratings, level=3.1, weight=0.4):
    mean, first = 5.0, True
    for rating, filler in ratings:
        if not filler:
            mean += weight * (rating - mean)
            if mean < level and not first:
                return True
            first = False
    return False


def frustration_of(s, n):
    return along(n.frustration, float(np.clip((s.trees[1] + s.heads[4]) / 2, 0, 1)))


def figures(model, found, n, say=print):
    for name in ("dev", "street", "held out", "misheard 10%", "misheard 20%"):
        gold, mine, count, calls, caught = [], [], {}, {True: 0, False: 0}, {True: 0, False: 0}
        mean = {True: 0, False: 0}
        kinds, hot = {}, {True: 0, False: 0}
        fillers = []
        for call, turns in found[name]:
            rated = rate_call(model, turns, n)
            own = [(r[0], r[1]) for r in rated]
            calls[call.escalate] += 1
            caught[call.escalate] += streak(own)
            mean[call.escalate] += sustained(own)
            hot[call.escalate] += any(frustration_of(s, n) >= 0.9 for s, r in zip(turns, rated) if not r[1])
            for s, r in zip(turns, rated):
                gold.append(s.turn.sentiment)
                mine.append(r[0])
                fillers.append((s.turn.filler, r[1]))
                kinds.setdefault(call.kind, []).append(abs(r[0] - s.turn.sentiment))
        gold, mine = np.array(gold), np.array(mine)
        clear = (gold <= 2) | (gold >= 4)
        say(f"{name:9s} streak {caught[True]}/{calls[True]} false {caught[False]}/{calls[False]}; mean<3.1 {mean[True]}, {mean[False]}; "
            f"AUROC {roc_auc_score(gold[clear] <= 2, -mine[clear]):.4f} Spearman {spearmanr(gold, mine)[0]:.3f} error {np.abs(gold - mine).mean():.3f} "
            f"frustration>=.9 {hot[True]}, {hot[False]}; calm<3 {np.mean(mine[gold >= 4] < 3):.4f}; fillers gold/mine/both {sum(a for a, _ in fillers)} "
            f"{sum(b for _, b in fillers)} {sum(a and b for a, b in fillers)} low fillers {sum(b and g < 3 for (a, b), g in zip(fillers, gold))}")
        if name == "street":
            say("          " + ", ".join(f"{k} {np.mean(v):.2f}" for k, v in sorted(kinds.items())))
    triples = {}
    for call, turns in found["pairs"]:
        rated = rate_call(model, turns, n)
        alone = rate(model, turns[-1], [], n)
        triples.setdefault(call.id[:-1], {})[call.id[-1]] = (turns[-1].turn.sentiment, rated[-1][0], alone[0])
    full = [v for v in triples.values() if len(v) == 3]
    for name, place in (("with history", 1), ("without", 2)):
        spread = np.mean([max(x[place] for x in v.values()) - min(x[place] for x in v.values()) for v in full])
        low = {w: (sum(v[w][place] < 3 for v in full if v[w][0] < 3), sum(v[w][0] < 3 for v in full), sum(v[w][place] < 3 for v in full if v[w][0] >= 3)) for w in "abc"}
        error = np.mean([abs(x[place] - x[0]) for v in full for x in v.values()])
        say(f"pairs {name}: {len(full)} spread {spread:.2f} low after calm/anger/alone (found, of, false) {low} error {error:.2f}")
    abuse = [(a <= -1, rate(model, s, [], n)[0]) for a, s in found["abuse"] if a <= -1 or a >= 0.75]
    say(f"ConvAbuse {roc_auc_score([a for a, _ in abuse], [-r for _, r in abuse]):.4f} below 3: {sum(a and r < 3 for a, r in abuse)}/{sum(a for a, _ in abuse)}, "
        f"{sum((not a) and r < 3 for a, r in abuse)}")
    star = [(annoyed, sorted(r[0] for r in [rate(model, s, [], n) for s in turns] if not r[1]) or [6]) for annoyed, turns in found["star"]]
    say(f"STAR lowest {roc_auc_score([a for a, _ in star], [-v[0] for _, v in star]):.4f}, three {roc_auc_score([a for a, _ in star], [-np.mean(v[:3]) for _, v in star]):.4f}")


def main():
    folder, encoder_path, out = sys.argv[1:4]
    model = pickle.load(open(f"{out}/model.pkl", "rb"))
    import joint  # so that the kept scores are of that module, and any program can read them

    joint.figures(model, joint.sets_of(folder, encoder_path, out), joint.Numbers())


if __name__ == "__main__":
    main()
