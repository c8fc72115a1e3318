"""One call in a LiveKit room: the program beside the participant that LiveKit Agents builds upon, in turns in one run.

From start to where it receives transcripts, memory in a room, and CPU a turn. The program rates every turn; the peer
only receives it, so that its CPU is the least that an agent in Python would take.

usage: cargo bench --bench livekit; or, after `bash tests/setup.sh` and `cargo build --release`,
    SENTIMENT_SIDECAR=target/release/sentiment-sidecar LIVEKIT_SERVER=target/livekit/server \\
        target/bridges/bin/python tests/bench/livekit_attach.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1] / "bridges"
sys.path[:0] = [str(HOME), str(HOME.parents[1] / "deploy/bridges")]

from livekit import rtc  # noqa: E402
from livekit_room import CALLER, KEY, SECRET, SIP, Server, join, server  # noqa: E402
from support import Desk, desk  # noqa: E402

TURNS = 40
"""Turns whose CPU is taken."""
GOAL_MS = 100
"""From start to the first transcript that can be received."""

SAYS = (
    "I have been trying to fix this for three days and nobody at your company seems to care.",
    "My account number is four four one nine.",
    "Thanks, that is very kind of you.",
)


class Started:
    """A process in a room, that says a line when it is there."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child

    async def says(self, word: bytes) -> None:
        while word not in await self.line():
            pass

    async def line(self) -> bytes:
        """The next one of its standard output."""
        assert self.child.stdout is not None
        line = await self.child.stdout.readline()
        assert line, "it ended before it said what was waited for"
        return line

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MB, pages that are shared with others in shares (PSS)."""
        lines = Path(f"/proc/{self.child.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self.child.kill()
        await self.child.wait()


async def start(program: list[str], env: dict[str, str], stdin: int = asyncio.subprocess.DEVNULL) -> Started:
    return Started(
        await asyncio.create_subprocess_exec(
            *program, env={**os.environ, **env}, stdin=stdin, stdout=asyncio.subprocess.PIPE
        )
    )


async def sidecar(at: Desk, livekit: Server, room: str) -> Started:
    where = ["attach", "--dialect", "livekit", "--room-url", livekit.url, "--room", room]
    settings = at.agent({"sentimentEscalationEnabled": True, "turnSilenceMs": 200})
    env = {"SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": SECRET}
    return await start([*at.program(*where), "--agent", str(settings)], {**at.environment(), **env})


async def peer(livekit: Server, room: str) -> Started:
    token = livekit.token(room, "listener", "agent")
    return await start([sys.executable, __file__, "--listen"], {"URL": livekit.url, "TOKEN": token})


async def hear(url: str, token: str, name: str) -> rtc.Room:
    """Joins as a participant that says each transcript which it receives, by the name of its room."""
    room = rtc.Room()
    tasks: set[asyncio.Task[None]] = set()

    async def read(reader: rtc.TextStreamReader) -> None:
        await reader.read_all()
        print(json.dumps({"type": "turn", "room": name}, separators=(",", ":")), flush=True)

    def heard(reader: rtc.TextStreamReader, _: str) -> None:
        task = asyncio.ensure_future(read(reader))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    room.register_text_stream_handler("lk.transcription", heard)
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
    print(json.dumps({"type": "attached", "room": name}, separators=(",", ":")), flush=True)
    return room


async def listen() -> None:
    """The peer."""
    _room = await hear(os.environ["URL"], os.environ["TOKEN"], "room")
    await asyncio.Event().wait()


async def say(caller: rtc.Room, number: int) -> None:
    attributes = {"lk.segment_id": f"SG_{number}", "lk.transcription_final": "true"}
    text = SAYS[number % len(SAYS)]
    await caller.local_participant.send_text(text, topic="lk.transcription", attributes=attributes)


async def joined(begin: Any) -> tuple[float, Started]:
    """Milliseconds from a process's start to its being there: from then on it receives what is said."""
    began = time.monotonic()
    started: Started = await begin
    await started.says(b'"attached"')
    return 1000 * (time.monotonic() - began), started


async def talked(caller: rtc.Room, started: Started) -> float:
    """Milliseconds of CPU a turn."""
    before = started.cpu()
    for turn in range(TURNS):
        await say(caller, turn)
        await started.says(b'"type":"turn"')
    return 1000 * (started.cpu() - before) / TURNS


async def main(rounds: int) -> None:
    kinds = {"sentiment-sidecar": sidecar, "livekit in Python": lambda _, livekit, room: peer(livekit, room)}
    seen: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        async with server(Path(folder)) as livekit, desk() as at:
            for number in range(rounds):
                for kind, begin in kinds.items():
                    room = f"room-{number}-{len(seen[kind])}-{len(kind)}"
                    caller = await join(livekit, room, CALLER, "sip", SIP)
                    took, started = await joined(begin(at, livekit, room))
                    # What it was told in its first moments is behind it.
                    await asyncio.sleep(1)
                    memory = started.memory()
                    seen[kind].append((took, memory, await talked(caller, started)))
                    await started.end()
                    await caller.disconnect()
    for kind, all_of_it in seen.items():
        took, memory, cpu = (sorted(values) for values in zip(*all_of_it, strict=True))
        over = "" if statistics.median(took) <= GOAL_MS else f" (over the goal of {GOAL_MS} ms)"
        print(
            f"{kind:18} receives after {statistics.median(took):5.0f} ms ({took[0]:.0f}-{took[-1]:.0f}), "
            f"{statistics.median(memory):5.1f} MB, {statistics.median(cpu):4.1f} ms of CPU a turn{over}"
        )


if __name__ == "__main__":
    asyncio.run(listen() if "--listen" in sys.argv else main(int((sys.argv[1:] or ["10"])[0])))
