"""Fine-tunes the encoder on the labelled calls and sentences, and writes a checkpoint.

usage: finetune.py DATA START OUT [--epochs 3] [--seed 1] [--rate 6e-5] [--teacher FILE]

START is an `encoder.bin`: its pieces are kept and its weights are where the training begins. The model sees a turn and the agent's last
words, and nothing else of the call.
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
import weak
from encoder import Encoder, WordPiece, batch, shipped
from features import View
from noise import Mishearing, masked

WEIGHTS = {"call": 1.0, "cfpb": 0.35, "multidogo": 0.35, "natcs": 0.4, "goemotions": 0.35}


def targets(turns):
    s = np.array([t.sentiment for t in turns])
    columns = [(s - 5) / 2, s <= 2.75, s <= 3.5, s >= 6.5, [t.frustration for t in turns], [t.urgency for t in turns], [t.filler for t in turns]]
    return torch.tensor(np.stack([np.asarray(c, dtype=np.float32) for c in columns], 1))


def loss_of(out, want, weight):
    mse = nnf.smooth_l1_loss(out[:, 0], want[:, 0], reduction="none", beta=0.5)
    rest = nnf.binary_cross_entropy_with_logits(out[:, 1:], want[:, 1:], reduction="none")
    return ((2 * mse + rest[:, 0] + 0.5 * rest[:, 1:].sum(1)) * weight).sum() / weight.sum()


def last_agent(turn):
    return next((text for who, text, _ in reversed(turn.earlier) if who == "agent"), None)


class Stage:
    """How turns come to the model in training: agents' words go missing or come from another call, and words go wrong as on real lines."""

    def __init__(self, turns, seed):
        self.rng = random.Random(seed)
        self.agents = [text for text in map(last_agent, turns) if text]
        self.ear = Mishearing([t.text for t in turns])

    def view(self, turn):
        rng, text, agent = self.rng, turn.text, last_agent(turn)
        chance = rng.random()
        if chance < 0.15:
            agent = None
        elif agent and chance < (0.2 if turn.told else 0.4):
            # The caller must decide, not what the agent says.
            agent = rng.choice(self.agents)
        if rng.random() < 0.5:
            text = masked(text, rng)
        if rng.random() < 0.2:
            text = self.ear.hear(text, rng.choice((0.1, 0.2)), rng) or text
        if rng.random() < 0.04:
            words = text.split()
            text = " ".join(words[:max(3, int(len(words) * rng.uniform(0.6, 0.95)))])
        return View(text, [("agent", agent)] if agent else [])


def view_of(turn):
    agent = last_agent(turn)
    return View(turn.text, [("agent", agent)] if agent else [])


def optimiser_of(model, rate, total, head=10.0):
    """AdamW with a short warm-up and a straight way down; a fresh head learns faster."""
    body = [(n, p) for n, p in model.named_parameters() if p.requires_grad and not n.startswith("head")]
    optimiser = torch.optim.AdamW([{"params": [p for _, p in body if p.dim() > 1], "lr": rate, "weight_decay": 0.01},
                                   {"params": [p for _, p in body if p.dim() == 1], "lr": rate, "weight_decay": 0.0},
                                   {"params": model.head.parameters(), "lr": head * rate, "weight_decay": 0.0}])
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
            with torch.autocast("cpu", dtype=torch.bfloat16):
                raw = model(*batch([rows[i] for i in part])).float()
            out[part] = torch.cat([raw[:, :1] * 2 + 5, raw[:, 1:].sigmoid()], 1).numpy()
    model.train()
    return out


def report(what, turns, rated):
    gold, mine = np.array([t.sentiment for t in turns]), rated[:, 0]
    clear = (gold <= 2) | (gold >= 4)
    print(what, "AUROC", round(roc_auc_score(gold[clear] <= 2, -mine[clear]), 4), "Spearman", round(spearmanr(gold, mine)[0], 4),
          "mean error", round(np.abs(gold - mine).mean(), 3), flush=True)


class Watched:
    """What is looked at after every epoch, and never trained on."""

    def __init__(self, folder, pieces):
        row = lambda turns: [pieces.turn(view_of(t)) for t in turns]
        sets = {"dev": data.calls_of(f"{folder}/dev-calls.jsonl"), "street": data.calls_of(f"{folder}/street-dev.jsonl"), "held out": data.held_out_calls()}
        self.calls = {name: [t for c in calls for t in c.turns] for name, calls in sets.items()}
        self.calls |= {kind: [t for t in self.calls["street"] if t.kind == kind] for kind in ("dry", "delight")}
        self.rows = {name: row(turns) for name, turns in self.calls.items()}
        abuse = [(a, t) for a, t in data.convabuse(folder, "valid") if a <= -1 or a >= 0.75]
        self.abuse, self.abuse_rows = [a <= -1 for a, _ in abuse], row([t for _, t in abuse])
        self.star = data.star(folder, held=True)
        self.star_rows = row([t for _, turns in self.star for t in turns])

    def report(self, what, model):
        for name, turns in self.calls.items():
            rated = predict(model, self.rows[name])
            if name in ("dry", "delight"):
                print(what, name, "mean error", round(np.abs(np.array([t.sentiment for t in turns]) - rated[:, 0]).mean(), 3))
            else:
                report(f"{what} {name}:", turns, rated)
        rated = predict(model, self.abuse_rows)[:, 0]
        star = iter(predict(model, self.star_rows)[:, 0])
        low = [sorted(next(star) for _ in turns) for _, turns in self.star]
        annoyed = [a for a, _ in self.star]
        print(what, "ConvAbuse", round(roc_auc_score(self.abuse, -rated), 4), "below 3", (rated[np.array(self.abuse)] < 3).sum(), sum(self.abuse),
              (rated[~np.array(self.abuse)] < 3).sum(), "STAR lowest", round(roc_auc_score(annoyed, [-v[0] for v in low]), 4), "three",
              round(roc_auc_score(annoyed, [-np.mean(v[:3]) for v in low]), 4), flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("data")
    args.add_argument("start", help="an encoder.bin")
    args.add_argument("out")
    args.add_argument("--begin", help="a checkpoint to begin with, instead of START's weights")
    args.add_argument("--weak", help="what weak.py wrote")
    args.add_argument("--epochs", type=int, default=3)
    args.add_argument("--rate", type=float, default=6e-5)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--lines", type=float, default=1.0, help="what a single line weighs")
    args.add_argument("--share", type=float, default=1.0, help="how much of whole calls and marked turns an epoch sees")
    o = args.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    state, names = shipped(o.start)
    pieces = WordPiece(names)
    calls = data.training_calls(o.data)
    kept = [t for c in calls for t in c.turns]
    for t in kept:
        # Single lines are few, and tell the most.
        t.weight = o.lines if t.kind in ("lines", "plain") else 1.3 if t.sentiment >= 7.5 or t.sentiment <= 1.5 else 1.0
    sentences = data.sentences_of(f"{o.data}/rated-sentences.jsonl")
    for t in sentences:
        t.weight = WEIGHTS[t.source]
    marked = weak.turns_of(o.data, o.weak)
    kept += [t for t in marked if t.weight >= 0.2]
    # Of what is plentiful and plain, an epoch sees a part.
    plain = sentences + [t for t in marked if t.weight < 0.2]
    single = [t for t in kept if t.kind in ("lines", "plain")]
    whole = [t for t in kept if t.kind not in ("lines", "plain")]
    count = int(len(whole) * o.share)
    model = Encoder(len(names))
    state["place.weight"] = state["place.weight"][:len(model.place.weight)]
    model.load_state_dict(torch.load(o.begin) if o.begin else state)
    watched = Watched(o.data, pieces)
    watched.report("before", model)
    stage = Stage(kept + plain, o.seed)
    size = 64
    total = o.epochs * ((len(single) + count + len(plain) // 3) // size + 1)
    optimiser, schedule = optimiser_of(model, o.rate, total, head=3.0)
    model.train()
    step, began = 0, time.time()
    for epoch in range(o.epochs):
        seen = single + rng.sample(whole, count) + rng.sample(plain, len(plain) // 3)
        rows = [pieces.turn(stage.view(t)) for t in seen]
        want = targets(seen)
        weight = torch.tensor([t.weight for t in seen])
        running, parts = 0.0, parts_of(rows, size, rng)
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
        watched.report(f"epoch {epoch}", model)
        torch.save(model.state_dict(), o.out)


if __name__ == "__main__":
    main()
