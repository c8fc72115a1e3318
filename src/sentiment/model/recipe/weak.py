"""Ratings for the two public sets that come with marks of another kind: STAR and ConvAbuse.

usage: weak.py DATA START OUT [CHECKPOINT]

A teacher (an encoder) rates every turn first; the marks then say where it must be wrong.
- ConvAbuse: abuse by the experts' mean mark, -3 is 1.0 and -1 is 2.0; what the experts found harmless lies from 4 to 7.5, where the teacher saw it.
- STAR: the assistant said of a whole dialogue whether the user had been aggressive or annoyed. In such a dialogue the turn that is most likely to
  have given that impression, by the teacher and by word pairs that tell annoyed from other dialogues (out of fold), is at most 2.5, the next one
  at most 3.5; in all other dialogues no turn is below 4.2.
Writes OUT: one rating and one weight a turn, in the order in which `data` reads them.
"""

from __future__ import annotations

import json
import sys

import numpy as np

import data


def turns_of(folder, path):
    """The turns that got a weight, with their ratings."""
    with open(path, encoding="utf-8") as file:
        labels = json.load(file)
    turns = [t for _, turns in data.star(folder, held=False) for t in turns] + [t for _, t in data.convabuse(folder, "train")]
    assert len(turns) == len(labels)
    for turn, (sentiment, frustration, weight) in zip(turns, labels):
        turn.sentiment, turn.frustration, turn.urgency, turn.weight = sentiment, frustration, 0.25, weight
        turn.filler = False
    return [t for t in turns if t.weight > 0]


def likely(dialogues):
    """Log-odds of each turn to stand in an annoyed dialogue, from its words, by dialogues that it is not in."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from features import normalise

    texts, marks, folds = [], [], []
    for annoyed, turns in dialogues:
        for t in turns:
            texts.append(" ".join(w.text for w in normalise(t.text)))
            marks.append(annoyed)
            folds.append(t.fold)
    marks, folds, out = np.array(marks), np.array(folds), np.zeros(len(texts))
    x = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+").fit_transform(texts)
    for f in range(5):
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=300).fit(x[folds != f], marks[folds != f])
        out[folds == f] = model.decision_function(x[folds == f])
    return out


def main():
    import torch
    from encoder import Encoder, WordPiece, shipped
    from finetune import predict, view_of

    folder, start, out = sys.argv[1:4]
    torch.set_num_threads(1)
    state, names = shipped(start)
    pieces = WordPiece(names)
    model = Encoder(len(names))
    state["place.weight"] = state["place.weight"][:len(model.place.weight)]
    model.load_state_dict(torch.load(sys.argv[4]) if len(sys.argv) > 4 else state)
    dialogues = data.star(folder, held=False)
    rate = lambda turns: predict(model, [pieces.turn(view_of(t)) for t in turns])[:, 0]
    teacher, odds = rate([t for _, turns in dialogues for t in turns]), likely(dialogues)
    labels, at = [], 0
    for annoyed, turns in dialogues:
        mine, seems = teacher[at:at + len(turns)], odds[at:at + len(turns)]
        at += len(turns)
        order = np.argsort(-((5 - mine) / 2 + 0.5 * seems))
        for place, rating in enumerate(mine):
            if not annoyed:
                labels.append((max(rating, 4.2), 0.15, 0.5 if rating < 4.2 else 0.12))
            elif place in order[:2]:
                first = place == order[0]
                labels.append((min(rating, 2.5 if first else 3.5), 0.65 if first else 0.4, 0.6 if first else 0.3))
            else:
                labels.append((rating, 0.3, 0.0))
    abuse = data.convabuse(folder, "train")
    for (mark, _), rating in zip(abuse, rate([t for _, t in abuse])):
        if mark <= -1:
            labels.append((1 + (mark + 3) / 2, 0.9, 1.4))
        elif mark >= 0.75:
            labels.append((np.clip(rating, 4.0, 7.5), 0.1, 0.5))
        else:
            labels.append((3.2, 0.5, 0.25 if mark < -0.3 else 0.0))
    with open(out, "w", encoding="utf-8") as file:
        json.dump([[round(float(x), 3) for x in row] for row in labels], file)


if __name__ == "__main__":
    main()
