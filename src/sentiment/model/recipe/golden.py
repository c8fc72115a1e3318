"""Writes `golden.json`: sentences of our own with what the recipe's model says, for the Rust tests to compare.

usage: golden.py OUT
"""

from __future__ import annotations

import json
import pickle
import random
import sys

import features as F

BEGINNINGS = ["I've called four times and", "um so", "Listen,", "Hi there,", "okay well", "No no no,", "honestly", "I mean", "Right, so",
              "you're not you're not", "Look -- ", "Please,", "wa- want to say"]
MIDDLES = ["nobody can tell me where my parcel is", "I'd like to change the address on my order", "the app keeps signing me out",
           "my card ends in 4 5 double two", "this is the 3rd engineer who didn't turn up", "that's brilliant thank you",
           "I can not believe this", "what the **** is this", "it's [bleep] useless", "**** **** 1234 is the card", "this is sooooo slow",
           "the café won't refund São Tomé", "do you even hear yourself", "it is fine", "I do not have one hundred and five dollars"]
ENDINGS = ["", "!", " and I want a manager.", " if that's okay?", ", you know", " \U0001f621", " 1 2 3", " don t"]
ODD = ["", " ", "?!", "no", "No.", "yes yes yes", "a person", "\U0001f621\U0001f621", "你好,我的订单在哪里", "İstanbul ǅ ﬁ", "'''", "x" * 5000, "no " * 3000,
       "it's " * 700 + "late", "5", "five oh two", "one", "no one", "-", "wa-", "wa- wa- what", "O'Neill's", "rock'n'roll", "\u2019tis", "they're there their"]
AGENTS = ["Could I take your account number?", "I'm sorry to hear that, anything else?", "Your call matters to us."]


def turns(rng, count):
    """Odd texts and `count` sentences, each with some turns before it."""
    texts = ODD + [f"{rng.choice(BEGINNINGS)} {rng.choice(MIDDLES)}{rng.choice(ENDINGS)}" for _ in range(count)]
    for text in texts:
        earlier = []
        for _ in range(rng.choice([0, 0, 1, 2, 5, 8])):
            earlier.append({"speaker": "agent", "text": rng.choice(AGENTS)})
            rating = rng.choice([None, 1.5, 2.4, 3.2, 4.4, 5.0, 6.1])
            earlier.append({"speaker": "caller", "text": rng.choice(MIDDLES)} | ({"sentiment": rating} if rating else {}))
        yield text, earlier


def main():
    out = sys.argv[1]
    model = pickle.load(open(f"{out}/model.pkl", "rb"))
    rows = []
    for text, earlier in turns(random.Random(11), 175):
        seen = earlier[-F.MAX_EARLIER:]
        view = F.View(text, [(e["speaker"], e["text"]) for e in seen])
        ratings = [e["sentiment"] for e in seen if e.get("sentiment") is not None]
        own, context = model.own.score(view), model.context.score(view)
        outputs = model.score(view)
        rows.append({"text": text, "earlier": earlier, "words": view.words,
                     "own": [round(float(x), 5) for x in own], "context": [round(float(x), 5) for x in context],
                     "outputs": [round(float(x), 5) for x in outputs], "moved": round(float(model.moved(view, outputs[0], ratings)), 5)})
    with open(f"{out}/golden.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
