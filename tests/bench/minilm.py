"""MiniLM under PyTorch on one thread, at the token counts of the bench's turns: what `rater.rs` stands beside.

usage: minilm.py MINILM
"""

import pathlib
import statistics
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "src/sentiment/model/recipe"))
from encoder import Encoder, batch  # noqa: E402

# Tokens of a turn of 5, 25 and 100 words with its context (one token a word, and the context's 48).
TURNS = {5: 53, 25: 73, 100: 99}


def timed(model, count, tokens, rounds=15):
    rows = batch([([101] + [2000 + i for i in range(tokens - 2)] + [102], [0] * (tokens // 2) + [1] * (tokens - tokens // 2))] * count)
    took = []
    with torch.no_grad():
        for _ in range(rounds):
            began = time.perf_counter()
            model(*rows)
            took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


def main():
    torch.set_num_threads(1)
    model = Encoder(sys.argv[1], [0, 1, 2, 3, 4, 5]).eval()
    for words, tokens in TURNS.items():
        print(f"PyTorch, one turn of {words} words: {timed(model, 1, tokens):.1f} ms")
    for count in (8, 32):
        print(f"PyTorch, {count} turns of 25 words together: {timed(model, count, TURNS[25]):.1f} ms")


if __name__ == "__main__":
    main()
