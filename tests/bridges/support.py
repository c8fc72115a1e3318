"""What stands beside the bridges in their tests: the real sidecar, a webhook receiver, and a wire that can be cut."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from aiohttp import web
from sentiment_room import Room, Rooms

PROGRAM = os.environ.get("SENTIMENT_SIDECAR", "target/debug/sentiment-sidecar")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TARGET = "+14155551234"
PATIENCE = float(os.environ.get("PATIENCE", "60"))
"""Longest wait for anything, in seconds; a test that waits so long has failed."""

ANGRY = (
    "This is ridiculous, I've been trying to fix this for three days!",
    "Nobody at your company seems to care.",
    "I want to speak to someone who can actually help.",
)

Event = dict[str, Any]
T = TypeVar("T")
P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs a test in an event loop of its own, in which nothing may go wrong unseen."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unseen: list[Event] = []

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
            await test(*args, **kwargs)

        asyncio.run(watched())
        assert not unseen, unseen

    return run


async def soon(what: object, work: Coroutine[Any, Any, T]) -> T:
    try:
        return await asyncio.wait_for(work, PATIENCE)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


async def until(what: str, holds: Callable[[], object]) -> None:
    """Waits until something holds that nobody tells of."""

    async def look() -> None:
        while not holds():
            await asyncio.sleep(0.01)

    await soon(what, look())


_ports = itertools.count(os.getpid())


def own_port() -> int:
    """A port to listen on that the system gives to nobody by chance, nor another test to itself."""
    while True:
        port = 10_000 + next(_ports) % 10_000
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def to_act(action: str, **more: Any) -> Event:
    """Settings of a call that escalates with an action."""
    target = {"sentimentEscalationTarget": TARGET} if action == "transfer" else {}
    # On a busy machine a turn may wait long for its rating, and an unrated one does not count; so may a sentence until it is heard.
    patient = {"sentimentRaterDeadlineMs": 30_000, "sentimentSayDeadlineMs": 30_000}
    return {"sentimentEscalationEnabled": True, "sentimentEscalationAction": action, **patient, **target, **more}


@dataclass
class _Wanted:
    """Written out when it is waited for in vain, with what was seen until then."""

    kind: str
    seen: list[Event]


class Sidecar:
    """The program at work, and all events that it told so far."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.seen: list[Event] = []

    async def event(self, kind: str) -> Event:
        """The next event of a type."""

        async def read() -> Event:
            assert self.child.stdout is not None
            while line := await self.child.stdout.readline():
                self.seen.append(json.loads(line))
                if self.seen[-1]["type"] == kind:
                    return self.seen[-1]
            raise AssertionError(f"no more events; wanted {kind}; saw {self.seen}")

        return await soon(_Wanted(kind, self.seen), read())

    async def exit(self) -> int:
        """Reads all remaining events, and returns the exit code."""
        with suppress(AssertionError):
            await self.event("never")
        return await soon("the program to end", self.child.wait())

    async def kill(self) -> None:
        self.child.kill()
        await self.child.wait()

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event["type"] == kind]

    def turns(self) -> list[tuple[str, str]]:
        """Every rating in the order in which it was told: the turn's id and its words."""
        return [(event["turn_id"], event["text"]) for event in self.of("turn")]


class Call(Protocol):
    """What begins and ends."""

    async def start(self) -> None: ...
    async def end(self) -> None: ...


C = TypeVar("C", bound=Call)


@asynccontextmanager
async def going_on(call: C) -> AsyncIterator[C]:
    """A call that has begun; it ends with the block, if not before."""
    await call.start()
    try:
        yield call
    finally:
        await soon("the end of the call", call.end())


class Desk:
    """Starts sidecars that share a store, and ends those that are left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._children: list[asyncio.subprocess.Process] = []

    async def attach(self, room: Room, rooms: Rooms, settings: Event, url: str | None = None) -> Sidecar:
        return await self.join("native", url or rooms.url, room.name, settings, rooms.token)

    async def join(self, dialect: str, url: str, room: str, settings: Event, token: str) -> Sidecar:
        """A sidecar in a room of any dialect."""
        where = ("--dialect", dialect, "--room-url", url, "--room", room, "--agent", str(self.agent(settings)))
        return await self.run("attach", *where, env={"SIDECAR_ROOM_TOKEN": token})

    @staticmethod
    def program(*arguments: str) -> tuple[str, ...]:
        return (PROGRAM, *arguments)

    async def run(self, *arguments: str, env: dict[str, str]) -> Sidecar:
        child = await asyncio.create_subprocess_exec(
            *self.program(*arguments),
            env={**self.environment(), **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        self._children.append(child)
        return Sidecar(child)

    def agent(self, settings: Event) -> Path:
        agent = self.folder / f"agent-{len(list(self.folder.iterdir()))}.json"
        agent.write_text(json.dumps(settings))
        return agent

    def environment(self) -> dict[str, str]:
        store = str(self.folder / "store.db")
        return {"SIDECAR_WEBHOOK_SECRET": SECRET, "SIDECAR_STORE": store, "HOME": str(self.folder), "NO_COLOR": "1"}

    async def close(self) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        at = Desk(Path(folder))
        try:
            yield at
        finally:
            await at.close()


class Hook:
    """A webhook receiver: what came, by `webhook-id`."""

    def __init__(self) -> None:
        self.url = ""
        self.came: list[tuple[str, Event]] = []

    def settings(self) -> Event:
        return to_act("notify", sentimentNotifyWebhook=self.url, sentimentWebhookAllow=["127.0.0.1"])

    async def _take(self, request: web.Request) -> web.Response:
        self.came.append((request.headers["webhook-id"], await request.json()))
        return web.Response()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    receiver, app = Hook(), web.Application()
    app.router.add_post("/hook", receiver._take)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Wire:
    """What carries bytes between the sidecar and the room, and can be cut."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Resets every connection: what is under way is lost."""
        for writer in self._open:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ends = {writer, there_writer}
        self._open |= ends
        with suppress(ConnectionError):
            await asyncio.gather(_pour(reader, there_writer), _pour(there_reader, writer))
        self._open -= ends
        for end in ends:
            end.transport.abort()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@asynccontextmanager
async def wire(rooms: Rooms) -> AsyncIterator[Wire]:
    port = int(rooms.url.rsplit(":", 1)[1].split("/")[0])
    between = Wire(port)
    server = await asyncio.start_server(between.carry, "127.0.0.1", 0)
    between.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/room"
    try:
        yield between
    finally:
        server.close()
        between.cut()
