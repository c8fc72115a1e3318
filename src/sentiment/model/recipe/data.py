"""Reads the labelled calls and sentences into one list of turns in their context."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import random
import re
from collections import Counter
from dataclasses import dataclass, field

from features import MAX_EARLIER


@dataclass
class Turn:
    """One caller turn; `earlier` is a list of (who, text, index into the same call's caller turns or None)."""

    text: str
    earlier: list
    sentiment: float
    frustration: float
    urgency: float
    filler: bool
    source: str
    call: int = -1
    index: int = 0
    fold: int = 0
    kind: str = ""
    weight: float = 1.0
    told: bool = False  # what the agent says was written to matter


@dataclass
class Call:
    id: str
    style: str
    kind: str
    escalate: bool
    at: int | None
    lines: list  # (role, text)
    turns: list = field(default_factory=list)


def read(path: str) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def written(path: str) -> list[dict]:
    """Calls in the short form of `calls/`: "# id style kind escalate at", then "A text" and "C sentiment frustration urgency filler text"."""
    rows: list[dict] = []
    with open(path, encoding="utf-8") as file:
        for line in filter(None, map(str.strip, file)):
            mark, rest = line.split(" ", 1)
            if mark == "#":
                name, style, kind, escalate, at = rest.split()
                rows.append({"id": name, "style": style, "kind": kind, "escalate": escalate == "yes", "at": None if at == "-" else int(at), "turns": []})
            elif mark == "A":
                rows[-1]["turns"].append({"role": "agent", "text": rest})
            else:
                s, f, u, filler, text = rest.split(" ", 4)
                rows[-1]["turns"].append({"role": "caller", "text": text, "sentiment": float(s), "frustration": float(f), "urgency": float(u), "filler": filler == "f"})
    return rows


def calls_of(*paths: str, folds: int = 5) -> list[Call]:
    """Whole calls; folds keep each writer's calls together, so that held-out figures are for unseen writers."""
    calls = []
    for number, row in enumerate(row for path in paths for row in (written if path.endswith(".txt") else read)(path)):
        call = Call(row["id"], row["style"], row["kind"], row["escalate"], row["at"], [(t["role"], t["text"]) for t in row["turns"]])
        writer = int(re.match(r"[A-Z]+(\d+)", row["id"]).group(1))
        for place, t in enumerate(row["turns"]):
            if t["role"] == "caller":
                call.turns.append(Turn(t["text"], [], t["sentiment"], t["frustration"], t["urgency"], bool(t.get("filler")),
                                       "call", number, len(call.turns), writer % folds, row["kind"], told=row["id"][0] in "SPX"))
        calls.append(call)
    for call in calls:
        set_context(call, call.lines)
    return calls


def training_calls(folder: str) -> list[Call]:
    """Those of `folder` (of the triples, three quarters), and those that stand beside this file."""
    calls = calls_of(f"{folder}/train-calls.jsonl", f"{folder}/street-train.jsonl", f"{folder}/history-pairs.jsonl",
                     *sorted(glob.glob(f"{os.path.dirname(os.path.abspath(__file__))}/calls/train-*.txt")))
    return [c for c in calls if not (c.kind.startswith("pair") and held_out(c.id[:-1], 4))]


def held_out(name: str, of: int) -> bool:
    """A fixed part of what is named so, one in `of`, is never trained on."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % of == 0


def held_out_triples(folder: str) -> list[Call]:
    return [c for c in calls_of(f"{folder}/history-pairs.jsonl") if held_out(c.id[:-1], 4)]


def held_out_calls() -> list[Call]:
    """Calls by two writers of their own, that nothing is trained on."""
    return calls_of(*sorted(glob.glob(f"{os.path.dirname(os.path.abspath(__file__))}/calls/held-out-*.txt")))


def star(folder: str, held: bool) -> list[tuple[bool, list[Turn]]]:
    """STAR's dialogues, with whether the assistant called the user annoyed; a third is held out. Turns have no ratings yet."""
    dialogues = []
    for row in read(f"{folder}/star-dialogues.jsonl"):
        if held_out(f"star {row['id']}", 3) != held:
            continue
        seen, turns = [], []
        for t in row["turns"]:
            if t["role"] == "caller":
                turns.append(Turn(t["text"], seen[-MAX_EARLIER:], 5.0, 0.0, 0.0, False, "star", fold=int(hashlib.sha256(row["id"].encode()).hexdigest(), 16) % 5))
            seen.append((t["role"], t["text"], None))
        dialogues.append((row["annoyed"], turns))
    return dialogues


def convabuse(folder: str, split: str) -> list[tuple[float, Turn]]:
    """ConvAbuse's turns with the experts' mean mark, from 1 (no abuse) to -3. Turns have no ratings yet."""
    rows = [row for row in read(f"{folder}/convabuse-turns.jsonl") if row["split"] == split and row["text"].strip()]
    return [(row["abuse"], Turn(row["text"], [(e["speaker"], e["text"], None) for e in row["earlier"] if e["text"].strip()], 5.0, 0.0, 0.0, False,
                                "convabuse", fold=place % 5)) for place, row in enumerate(rows)]


def set_context(call: Call, lines: list) -> None:
    caller = 0
    seen: list = []
    for role, text in lines:
        if role == "caller":
            call.turns[caller].earlier = seen[-MAX_EARLIER:]
            seen.append(("caller", text, caller))
            caller += 1
        else:
            seen.append(("agent", text, None))


def swapped(calls: list[Call], seed: int) -> None:
    """Gives each call's agent lines to another call: what the caller says must decide, not what the agent says."""
    pool = [text for call in calls for role, text in call.lines if role == "agent"]
    random.Random(seed).shuffle(pool)
    for call in calls:
        set_context(call, [(role, pool.pop() if role == "agent" else text) for role, text in call.lines])


def sentences_of(path: str, folds: int = 5) -> list[Turn]:
    rows = read(path)
    lower, upper = Counter(), Counter()
    for row in rows:
        if row["source"] == "cfpb":
            for line in row["context"] + [row["text"]]:
                for place, word in enumerate(re.findall(r"[A-Za-z]{2,}", line)):
                    (upper if word[0].isupper() and place else lower if word[0].islower() else Counter())[word.lower()] += 1

    def mask(line: str) -> str:
        """Leaves company names out, so that a name is not learnt as anger."""
        return re.sub(r"[A-Z][A-Za-z&]+|X{2,}", lambda m: "" if set(m.group()) == {"X"} or (
            upper[m.group().lower()] and upper[m.group().lower()] > 2 * lower[m.group().lower()]) else m.group(), line)

    turns = []
    for row in rows:
        clean = mask if row["source"] == "cfpb" else str
        earlier = [("caller" if line[:2] == "C:" else "agent", clean(line[2:].strip()), None) for line in row["context"]]
        group = row["id"].rsplit("-", 1)[0] if row["id"].count("-") > 1 else row["id"]
        fold = int(hashlib.sha256(group.encode()).hexdigest(), 16) % folds
        turns.append(Turn(clean(row["text"]), earlier, row["sentiment"], row["frustration"], row["urgency"], bool(row["filler"]),
                          row["source"], fold=fold))
    return turns
