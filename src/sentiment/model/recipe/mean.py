"""Writes the mean of checkpoints, which rates unseen turns more steadily than each of them.

usage: mean.py OUT CHECKPOINT CHECKPOINT…
"""

import sys

import torch


def main():
    out, *paths = sys.argv[1:]
    states = [torch.load(path) for path in paths]
    torch.save({name: sum(state[name].float() for state in states) / len(states) for name in states[0]}, out)


if __name__ == "__main__":
    main()
