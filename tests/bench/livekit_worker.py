"""Many LiveKit rooms in one process: a worker beside a process in Python that holds as many participants, in one run.

Memory a call beyond the first ones, and CPU a turn while a turn is said in each room. The program rates every turn; the
peer only receives it, so that its CPU is the least that agents in Python would take. Callers and server are processes of
their own.

usage: cargo bench --bench livekit; or, after `bash tests/setup.sh` and `cargo build --release`,
    SENTIMENT_SIDECAR=target/release/sentiment-sidecar LIVEKIT_SERVER=target/livekit/server \\
        target/bridges/bin/python tests/bench/livekit_worker.py [ROOMS]
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from livekit_attach import HOME, Started, hear, say, start  # noqa: I001  (it finds what follows)

from livekit import rtc
from livekit_room import CALLER, KEY, SECRET, SIP, Server, join, server
from support import Desk, desk

ROUNDS = 3
"""Turns of each caller whose CPU is taken."""
FIRST = 20
"""So many rooms are there before memory is counted by the room."""
AT_ONCE = 10
"""So many join at a time."""
GOAL_KB = 1000
"""Memory a call."""
FILES_EACH = 90
"""So many files a participant of LiveKit's client in Python has open while it joins."""
PATIENCE_S = 120
"""What has not come by then is missing, and the bench says where."""


async def in_turns(many: range, each: Callable[[int], Awaitable[None]]) -> None:
    """A few at a time."""
    lanes = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with lanes:
            await each(number)

    await asyncio.gather(*(one(number) for number in many))


class Many:
    """A process with many rooms, that says on its standard output which it has joined, and each turn."""

    def __init__(self, started: Started, enter: Callable[[str], Awaitable[None]]) -> None:
        self.started, self._enter = started, enter
        self._joined: set[str] = set()
        self._turns: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()

    async def enter(self, rooms: range) -> None:
        names = [f"room-{number}" for number in rooms]
        for name in names:
            await self._enter(name)
        await self._until(lambda: [name for name in names if name not in self._joined])

    async def has_told_a_turn(self, rooms: range) -> None:
        """Waits until it has told of one more turn of each of these rooms than it was asked for before."""
        for number in rooms:
            self._wanted[f"room-{number}"] += 1
        await self._until(lambda: [name for name, turns in self._wanted.items() if self._turns[name] < turns])

    async def _until(self, missing: Callable[[], list[object]]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while missing():
                    self._read(await self.started.line())
        except TimeoutError:
            raise AssertionError(f"waited in vain for {len(missing())} rooms, among them {missing()[:5]}") from None

    def _read(self, line: bytes) -> None:
        told = json.loads(line)
        match told["type"]:
            case "attached":
                self._joined.add(told["room"])
            case "turn":
                self._turns[told["room"]] += 1
            case "warning" | "ended" if "history_missing" not in told.get("detail", ""):
                print(line.decode().strip(), file=sys.stderr)


@asynccontextmanager
async def worker(at: Desk, livekit: Server) -> AsyncIterator[Many]:
    where = ["worker", "--dialect", "livekit", "--room-url", livekit.url, "--max-calls", "1000"]
    settings = at.agent({"sentimentEscalationEnabled": True, "turnSilenceMs": 200, "sentimentRaterDeadlineMs": 30_000})
    env = {"SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": SECRET}
    started = await start([*at.program(*where), "--agent", str(settings)], {**at.environment(), **env})
    try:
        await started.says(b'"registered"')
        yield Many(started, livekit.dispatch)
    finally:
        await started.end()


@asynccontextmanager
async def listeners(_: Desk, livekit: Server) -> AsyncIterator[Many]:
    started = await start([sys.executable, __file__, "--listen"], {}, asyncio.subprocess.PIPE)

    async def enter(room: str) -> None:
        entry = {"url": livekit.url, "token": livekit.token(room, "listener", "agent"), "name": room}
        assert started.child.stdin is not None
        started.child.stdin.write(json.dumps(entry).encode() + b"\n")

    try:
        yield Many(started, enter)
    finally:
        await started.end()


async def listen() -> None:
    """The peer: joins the rooms that its standard input names."""
    rooms: list[rtc.Room] = []
    lanes = asyncio.Semaphore(AT_ONCE)

    async def enter(url: str, token: str, name: str) -> None:
        async with lanes:
            rooms.append(await hear(url, token, name))

    async with asyncio.TaskGroup() as joining:
        while line := await asyncio.to_thread(sys.stdin.readline):
            joining.create_task(enter(**json.loads(line)))


@asynccontextmanager
async def callers(livekit: Server, many: int) -> AsyncIterator[list[rtc.Room]]:
    began, there = time.monotonic(), [rtc.Room() for _ in range(many)]

    async def enter(number: int) -> None:
        there[number] = await join(livekit, f"room-{number}", CALLER, "sip", SIP)

    await in_turns(range(many), enter)
    print(f"{many} callers are there after {time.monotonic() - began:.0f} s", file=sys.stderr)
    yield there
    await asyncio.gather(*(room.disconnect() for room in there))


async def measured(kind: str, phones: list[rtc.Room], process: Many) -> None:
    began, started, said = time.monotonic(), process.started, 0

    async def round_of(rooms: range) -> None:
        """A turn of each caller, said once those of the round before were told."""
        nonlocal said
        await in_turns(rooms, lambda number: say(phones[number], said))
        said += 1
        await process.has_told_a_turn(rooms)

    await process.enter(range(FIRST))
    # What all calls share is there once something was said in one.
    await round_of(range(FIRST))
    few = started.memory()
    await process.enter(range(FIRST, len(phones)))
    # What it was told in its first moments is behind it.
    await asyncio.sleep(5)
    joined, all_of_it, idle = time.monotonic() - began, started.memory(), started.cpu()
    for _ in range(ROUNDS):
        await round_of(range(len(phones)))
    cpu = 1000 * (started.cpu() - idle) / (ROUNDS * len(phones))
    talking = started.memory()
    a_call = 1000 * (talking - few) / (len(phones) - FIRST)
    over = "" if a_call <= GOAL_KB else f" (over the goal of {GOAL_KB} KB)"
    print(
        f"{kind:18} {len(phones)} rooms in {joined:3.0f} s, {all_of_it:6.1f} MB, "
        f"{1000 * (all_of_it - few) / (len(phones) - FIRST):6.0f} KB a call ({a_call:.0f} after {ROUNDS} turns), "
        f"{cpu:4.1f} ms of CPU a turn{over}",
        flush=True,
    )


def fitting(many: int) -> int:
    """As many rooms as one process may have files for, once it may have as many as the system lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    fit = many if most == resource.RLIM_INFINITY else min(many, most // FILES_EACH)
    if fit < many:
        print(f"{fit} rooms instead of {many}, as a process may have {most} files open here (ulimit -Hn)")
    return fit


async def main(many: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with server(Path(folder)) as livekit, desk() as at, callers(livekit, many) as phones:
            for kind, begin in (("sentiment-sidecar", worker), ("livekit in Python", listeners)):
                async with begin(at, livekit) as process:
                    await measured(kind, phones, process)


if __name__ == "__main__":
    # A process of this many rooms has more files open than is usual.
    os.environ.setdefault("RUST_LOG", "error")
    asyncio.run(listen() if "--listen" in sys.argv else main(fitting(int((sys.argv[1:] or ["300"])[0]))))
