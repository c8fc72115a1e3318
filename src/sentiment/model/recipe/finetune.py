"""Fine-tunes MiniLM on the labelled calls and sentences, and writes a checkpoint.

usage: finetune.py DATA MINILM START PIECES OUT [--layers 6] [--epochs 4] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch.nn import functional as nnf

import data
from encoder import Encoder, WordPiece, batch
from features import View

WEIGHTS = {"call": 1.0, "cfpb": 0.4, "multidogo": 0.4, "natcs": 0.5, "goemotions": 0.4}
PICKS = {6: [0, 1, 2, 3, 4, 5], 4: [0, 1, 3, 5], 3: [0, 2, 4], 2: [0, 3]}


def targets(turns):
    s = np.array([t.sentiment for t in turns])
    columns = [(s - 5) / 2, s <= 2.75, s <= 3.5, s >= 6.5, [t.frustration for t in turns], [t.urgency for t in turns], [t.filler for t in turns]]
    return torch.tensor(np.stack([np.asarray(c, dtype=np.float32) for c in columns], 1))


def loss_of(out, want, weight):
    mse = nnf.smooth_l1_loss(out[:, 0], want[:, 0], reduction="none", beta=0.5)
    rest = nnf.binary_cross_entropy_with_logits(out[:, 1:], want[:, 1:], reduction="none")
    return ((2 * mse + rest[:, 0] + 0.5 * rest[:, 1:].sum(1)) * weight).sum() / weight.sum()


def view_of(turn, rng=None):
    """The turn as the model sees it; in training, context and words go missing at times as they do on real lines."""
    earlier = [(who, text) for who, text, _ in turn.earlier]
    if rng is not None:
        if rng.random() < 0.15:
            earlier = []
        elif rng.random() < 0.15:
            earlier = [e for e in earlier if e[0] == "caller"]
    view = View(turn.text, earlier)
    if rng is not None and rng.random() < 0.4 and len(view.words) > 3:
        view.words = [w for w in view.words if rng.random() > 0.06] or view.words
    return view


def optimiser_of(model, rate, total):
    """AdamW with a short warm-up and a straight way down; the fresh head learns ten times as fast."""
    body = [(n, p) for n, p in model.named_parameters() if p.requires_grad and not n.startswith("head")]
    optimiser = torch.optim.AdamW([{"params": [p for _, p in body if p.dim() > 1], "lr": rate, "weight_decay": 0.01},
                                   {"params": [p for _, p in body if p.dim() == 1], "lr": rate, "weight_decay": 0.0},
                                   {"params": model.head.parameters(), "lr": 10 * rate, "weight_decay": 0.0}])
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min(1.0, (s + 1) / 100) * max(0.02, 1 - s / total))


def parts_of(rows, size, rng):
    """Batches of rows of like length, in random order."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    parts = []
    for k in range(0, len(order), 32 * size):
        chunk = sorted(order[k:k + 32 * size], key=lambda i: len(rows[i][0]))
        parts += [chunk[j:j + size] for j in range(0, len(chunk), size)]
    rng.shuffle(parts)
    return parts


def predict(model, rows):
    model.eval()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    out = np.zeros((len(rows), 7), dtype=np.float32)
    with torch.no_grad():
        for k in range(0, len(order), 64):
            part = order[k:k + 64]
            raw = model(*batch([rows[i] for i in part])).float()
            raw = torch.cat([raw[:, :1] * 2 + 5, raw[:, 1:].sigmoid()], 1)
            out[part] = raw.numpy()
    model.train()
    return out


def report(what, turns, rated):
    gold, mine = np.array([t.sentiment for t in turns]), rated[:, 0]
    clear = (gold <= 2) | (gold >= 4)
    print(what, "AUROC", round(roc_auc_score(gold[clear] <= 2, -mine[clear]), 4), "Spearman", round(spearmanr(gold, mine)[0], 4),
          "mean error", round(np.abs(gold - mine).mean(), 3), flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("data")
    args.add_argument("minilm")
    args.add_argument("start", help="the encoder that emotions.py wrote")
    args.add_argument("pieces", help="the file that pieces.py wrote")
    args.add_argument("out")
    args.add_argument("--layers", type=int, default=6)
    args.add_argument("--epochs", type=int, default=4)
    args.add_argument("--rate", type=float, default=1e-4)
    args.add_argument("--seed", type=int, default=1)
    o = args.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    calls = data.training_calls(o.data)
    kept = [t for c in calls for t in c.turns] + data.sentences_of(f"{o.data}/rated-sentences.jsonl")
    watched = {"dev": data.calls_of(f"{o.data}/dev-calls.jsonl"), "held out": data.held_out_calls()}
    watched = {name: [t for c in calls for t in c.turns] for name, calls in watched.items()}
    pieces = WordPiece(f"{o.minilm}/vocab.txt", o.pieces)
    model = Encoder(o.minilm, PICKS[o.layers])
    start = torch.load(o.start)
    start = {k: v for k, v in start.items() if not k.startswith("layers.") or int(k.split(".")[1]) in PICKS[o.layers]}
    names = {f"layers.{number}.": f"layers.{place}." for place, number in enumerate(PICKS[o.layers])}
    start = {next((k.replace(old, new, 1) for old, new in names.items() if k.startswith(old)), k): v for k, v in start.items()}
    model.load_state_dict(start, strict=False)
    size = 64
    total = o.epochs * (len(kept) // size + 1)
    optimiser, schedule = optimiser_of(model, o.rate, total)
    model.train()
    step, began = 0, time.time()
    for epoch in range(o.epochs):
        # The caller must decide, not what the agent says: in half of the passes agents' lines come from other calls.
        data.swapped(calls, 100 * o.seed + epoch) if epoch % 2 == 0 else [data.set_context(c, c.lines) for c in calls]
        rows = [pieces.turn(view_of(t, rng)) for t in kept]
        want = targets(kept)
        weight = torch.tensor([WEIGHTS[t.source] for t in kept])
        running = 0.0
        parts = parts_of(rows, size, rng)
        for part in parts:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = model(*batch([rows[i] for i in part]))
            loss = loss_of(out.float(), want[part], weight[part])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            running += loss.item()
            step += 1
            if step % 20 == 0:
                print(epoch, step, total, round(running / (step - epoch * len(parts)), 4), round(time.time() - began, 1), flush=True)
        for name, turns in watched.items():
            report(f"epoch {epoch}, {name}:", turns, predict(model, [pieces.turn(view_of(t)) for t in turns]))
        torch.save(model.state_dict(), o.out)


if __name__ == "__main__":
    main()
