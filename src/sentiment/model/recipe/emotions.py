"""Teaches MiniLM how emotions are worded before it sees calls: GoEmotions' 28 labels (Demszky et al., 2020; CC-BY-4.0).

usage: emotions.py GOEMOTIONS MINILM OUT [--epochs 2]

GOEMOTIONS holds the published split as goe-train.tsv and goe-dev.tsv (text, label numbers, id). Writes the encoder, without its head, to OUT.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import torch
from torch.nn import functional as nnf

from encoder import Encoder, WordPiece, batch, published
from features import View
from finetune import optimiser_of, parts_of

LABELS = 28


def rows_of(path: str, pieces: WordPiece):
    rows, want = [], []
    for line in open(path, encoding="utf-8"):
        text, labels, _ = line.rstrip("\n").split("\t")
        view = View(text.replace("[NAME]", "name").replace("[RELIGION]", "religion"), [])
        if view.words:
            rows.append(pieces.turn(view))
            want.append([float(str(k) in labels.split(",")) for k in range(LABELS)])
    return rows, torch.tensor(want)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("goemotions")
    args.add_argument("minilm")
    args.add_argument("out")
    args.add_argument("--epochs", type=int, default=2)
    args.add_argument("--rate", type=float, default=1.2e-4)
    o = args.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = random.Random(0)
    state, names = published(o.minilm)
    pieces = WordPiece(names)
    rows, want = rows_of(f"{o.goemotions}/goe-train.tsv", pieces)
    held, gold = rows_of(f"{o.goemotions}/goe-dev.tsv", pieces)
    model = Encoder(len(names), 6, LABELS)
    model.load_state_dict(state, strict=False)
    size = 64
    total = o.epochs * (len(rows) // size + 1)
    optimiser, schedule = optimiser_of(model, o.rate, total)
    step, began = 0, time.time()
    for epoch in range(o.epochs):
        model.train()
        for part in parts_of(rows, size, rng):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = model(*batch([rows[i] for i in part]))
            loss = nnf.binary_cross_entropy_with_logits(out.float(), want[part], reduction="none").sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            if step % 50 == 0:
                print(epoch, step, total, round(loss.item(), 4), round(time.time() - began), flush=True)
        model.eval()
        scores = []
        with torch.no_grad():
            for k in range(0, len(held), 128):
                scores.append(model(*batch(held[k:k + 128])).float())
        from sklearn.metrics import roc_auc_score
        print("epoch", epoch, "mean AUROC of the labels", np.mean([roc_auc_score(gold[:, k], torch.cat(scores)[:, k]) for k in range(LABELS)]), flush=True)
        torch.save({k: v for k, v in model.state_dict().items() if not k.startswith("head.")}, o.out)


if __name__ == "__main__":
    main()
