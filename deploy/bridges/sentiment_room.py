"""Rooms of sentiment-sidecar's native dialect, served from inside a voice agent's own process.

A room is one live call. The app opens it, says what happens in the call, and gives handlers for what the sidecar wants
done; a sidecar attaches to it over WebSocket (subprotocol ``sentiment-sidecar.room.v1``)::

    async with Rooms() as rooms:
        room = rooms.open("call-1", Handlers(say=speak, tone=instruct))
        room.attach("--agent", "agent.json")
        room.turn(CALLER, "Nobody at your company seems to care.")
        ...
        room.end("hangup")
        await rooms.finish()

Needs Python 3.11 and aiohttp 3.10, and nothing else: copy this file beside your app. One `Rooms` serves any number of
calls. Everything here runs on one event loop, and none of it may be called from other threads. What is logged here has
no word of the call and no phone number; errors of your handlers are logged as they are.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from aiohttp import WSMsgType, web

SUBPROTOCOL: Final = "sentiment-sidecar.room.v1"
VERSION: Final = 1
MAX_FRAME: Final = 64 * 1024
"""Largest frame in bytes, either way."""
ESCALATE_SENTIMENT: Final = "escalate_sentiment"
"""The tool that the sidecar offers to the agent's model."""

HELLO_PATIENCE: Final = 10.0
"""Seconds from the handshake to `hello`."""
HEARTBEAT: Final = 15.0
"""Seconds between pings; a connection that answers none for half of it is cut."""
LINGER: Final = 120.0
"""Seconds for which a call that is over waits for a sidecar to hear all of it: so long does one dial again."""
LAST_WORD: Final = 5.0
"""Seconds for which the end of a call waits for a transfer that is under way."""
MAX_UNDER_WAY: Final = 64
"""Commands of one call that may be carried out at once; those beyond are answered `failed`."""

CLOSE_OVER: Final = 1000
CLOSE_GOING_AWAY: Final = 1001
CLOSE_PROTOCOL: Final = 4400
CLOSE_SUPERSEDED: Final = 4409

AGAIN: Final = (1, 8, 9)
"""Exit codes of the sidecar after which it is started again: something unforeseen, room lost, store unusable."""
NOT_STARTED: Final = 127
"""What stands for its exit code when it cannot even be started, as in a shell."""
DELAYS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before it is started again; the last one from then on."""

Role = Literal["caller", "agent", "supervisor", "observer"]
Message = dict[str, Any]

T = TypeVar("T")

logger = logging.getLogger("sentiment_room")


@dataclass(frozen=True, slots=True)
class Participant:
    """Someone in the room. Only turns of those whose role is `caller` are rated."""

    id: str
    role: Role
    name: str | None = None

    def _told(self) -> Message:
        return _without_none(id=self.id, role=self.role, name=self.name)


CALLER: Final = Participant("caller", "caller")
AGENT: Final = Participant("agent", "agent")


@dataclass(frozen=True, slots=True)
class Call:
    """The phone call behind a room: the platform's id, who called, who was called (E.164 where known)."""

    id: str = ""
    from_number: str | None = None
    to_number: str | None = None
    sip: Mapping[str, Any] | None = None
    """The caller's SIP dialog, where the sidecar is to transfer by itself: `call_id`, `local_tag`, and so on."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that the sidecar asks for."""

    target: str
    """Whom to call, E.164."""
    ringing_timeout_ms: int
    """How long the phone may ring."""
    deadline_ms: int
    """How long the sidecar waits for the result; a later one is recorded, and something else is under way by then."""


class TransferFailed(Exception):
    """Raised by a `transfer` handler when no human has the caller.

    `code` is `busy`, `declined`, `no_answer`, `caller_gone`, `cancelled`, `unreachable`, `unknown`, or a SIP status
    like `486`; `detail` is for people.
    """

    CODES: Final = ("busy", "declined", "no_answer", "caller_gone", "cancelled", "unreachable", "unknown")

    def __init__(self, code: str | int, detail: str = "") -> None:
        self.code = str(code)
        self.detail = detail
        if self.code not in self.CODES and not re.fullmatch(r"[3-6]\d\d", self.code):
            raise ValueError(f"a transfer fails with one of {', '.join(self.CODES)} or a SIP status, not {self.code!r}")
        super().__init__(f"{self.code}: {detail}" if detail else self.code)


@dataclass(frozen=True, slots=True)
class Flag:
    """A call that is to be marked for review."""

    alert_id: str
    severity: str
    """low, medium, high, critical"""
    description: str
    """What upset the caller."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool for the agent's model; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a tool call: whether it did what was asked, and what the model is told."""

    ok: bool
    output: Any


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the app does for the sidecar. A room offers what it has a handler for, and nothing else.

    A handler returns when it is done, and raises when it could not do it. `say`, `transfer` and `set_flag` may run at
    the same time; `tone`, `tools` and `sentiment` are called one after the other.
    """

    say: Callable[[str], Awaitable[object]] | None = None
    """Say a sentence to the caller; returns when it was said."""
    tone: Callable[[str, str], Awaitable[object]] | None = None
    """Tell the agent how to sound from here on: an instruction for its prompt, and the caller's mood (negative,
    neutral, positive). Replaces the instruction before."""
    transfer: Callable[[Transfer], Awaitable[object]] | None = None
    """Hand the caller to a human; returns when the human has them, raises `TransferFailed` when not."""
    set_flag: Callable[[Flag], Awaitable[object]] | None = None
    """Mark the call for review."""
    tools: Callable[[Sequence[Tool]], Awaitable[object]] | None = None
    """Offer these tools to the agent's model; their calls go to `Room.call_tool`."""
    sentiment: Callable[[Mapping[str, Any]], Awaitable[object]] | None = None
    """A turn was rated: `turn_id`, `sentiment` from 1 to 10, `label`, `streak`, and so on."""

    def _capabilities(self) -> list[str]:
        offered = {"say": self.say, "transfer": self.transfer, "set_flag": self.set_flag, "tools": self.tools}
        return ["turn_events", *(name for name, handler in offered.items() if handler is not None)]


class Room:
    """One call. Made by `Rooms.open`; keeps all that was said until the call is over and a sidecar has heard it."""

    def __init__(
        self, rooms: Rooms, name: str, handlers: Handlers, call: Call, participants: Sequence[Participant]
    ) -> None:
        self.name: Final = name
        self.session_id: Final = f"session_{secrets.token_hex(12)}"
        self.began: Final = time.time()
        self.before_end: Callable[[], object] | None = None
        """Called once when the call is over, to tell what is left to tell."""
        self._rooms = rooms
        self._handlers = handlers
        self._call = call
        self._participants = {participant.id: participant for participant in participants}
        self._began_with = tuple(participants)
        # Frames as they went out: the one at index i has `seq` i + 1.
        self._said: list[str] = []
        self._turns: dict[str, Message] = {}
        self._commands: dict[str, Message] = {}
        self._answers: dict[str, asyncio.Future[ToolResult]] = {}
        self._tools: list[Tool] | None = None
        self._tone: tuple[str, str] | None = None
        self._in_order = asyncio.Lock()
        self._link: _Link | None = None
        self._heard_all = asyncio.Event()
        self._at_work: set[asyncio.Task[None]] = set()
        self._transfers: set[asyncio.Task[None]] = set()
        self._ending = False
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ending

    def ms(self, at: float) -> int:
        """A moment of `time.time()` in milliseconds since the call began, as `turn` wants it."""
        return max(0, round((at - self.began) * 1000))

    def turn(
        self,
        who: Participant,
        text: str,
        *,
        turn_id: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> str:
        """Somebody's turn is over: all that they said until another took over. Returns the turn's id.

        Said again under the same `turn_id` it is revised; the very same is told once. Without an id it gets one. Times
        are milliseconds since the call began (`ms`); with them the order is right even where turns are told late, and
        pieces of one turn are joined. An empty text is not told.

        Raises `ValueError` for somebody who is not in the room.
        """
        if who.id not in self._participants:
            raise ValueError(f"no participant {who.id!r} in room {self.name!r}: call joined() first")
        turn_id = turn_id or f"turn_{len(self._turns) + 1}"
        turn = _without_none(
            type="turn.ended",
            turn_id=turn_id,
            participant_id=who.id,
            text=text.strip(),
            start_ms=start_ms,
            end_ms=end_ms,
        )
        if (turn["text"] or turn_id in self._turns) and turn != self._turns.get(turn_id):
            self._turns[turn_id] = turn
            self._say(turn)
        return turn_id

    def joined(self, who: Participant) -> None:
        """Somebody came. A `supervisor` is the human whom the caller was to reach."""
        self._participants[who.id] = who
        self._say({"type": "participant.joined", "participant": who._told()})

    def left(self, who: Participant) -> None:
        """Somebody went."""
        self._say({"type": "participant.left", "participant": who._told()})

    async def call_tool(
        self,
        arguments: Mapping[str, Any] | str,
        *,
        name: str = ESCALATE_SENTIMENT,
        call_id: str | None = None,
        patience: float = 5.0,
    ) -> ToolResult:
        """The agent's model calls a tool; returns the sidecar's answer.

        `call_id` is the model's own; the same id is asked once. Without an answer within `patience` seconds the model
        is told so, and a later answer is kept for a call with the same id.
        """
        call_id = call_id or f"call_{len(self._answers) + 1}"
        answer = self._answers.get(call_id)
        if answer is None:
            answer = self._answers[call_id] = asyncio.get_running_loop().create_future()
            given = arguments if isinstance(arguments, str) else dict(arguments)
            self._say({"type": "tool.call", "call_id": call_id, "name": name, "arguments": given})
        try:
            async with asyncio.timeout(patience):
                return await asyncio.shield(answer)
        except TimeoutError:
            return ToolResult(False, {"escalated": False, "reason": "no answer came in time; go on without"})

    def end(self, reason: str) -> None:
        """The call is over. The room goes once a sidecar has dealt with all of it, at the latest after `LINGER`.

        A transfer that is under way has `LAST_WORD` seconds to say what came of it: the caller's leg often ends first.
        """
        if self._ending:
            return
        self._ending = True
        if self._transfers:
            self._rooms._spawn(self._end_after_transfers(reason))
        else:
            self._over(reason)

    async def _end_after_transfers(self, reason: str) -> None:
        await asyncio.wait(self._transfers, timeout=LAST_WORD)
        self._over(reason)

    def _over(self, reason: str) -> None:
        if self.before_end is not None:
            self.before_end()
        self._say({"type": "session.ended", "reason": reason[:200]})
        self._ended.set()
        self._wake()
        asyncio.get_running_loop().call_later(LINGER, self._rooms._forget, self)

    async def closed(self, patience: float = 10.0) -> bool:
        """Waits until a sidecar has dealt with all of a call that is over, at most `patience` seconds; says whether."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._heard_all.wait()
        return self._heard_all.is_set()

    def attach(
        self,
        *arguments: str,
        program: str = "sentiment-sidecar",
        event: Callable[[Message], object] | None = None,
    ) -> asyncio.Task[int]:
        """Starts a sidecar for this call as a child process, and again where that helps, until the call is over.

        `arguments` follow `attach --room-url … --room …`, like `"--agent", "agent.json"`; its secrets are those of
        this process's environment. `event` gets each JSON line of its standard output. The task returns the exit code,
        0 when all went well. The rooms must be listening (`Rooms.start`).
        """
        command = (program, "attach", "--room-url", self._rooms.url, "--room", self.name, *arguments)
        environment = {**os.environ, "SIDECAR_ROOM_TOKEN": self._rooms.token}
        return self._rooms._spawn(_attached(self, command, environment, event))

    # What the connections use.

    def _welcome(self, resumed: bool) -> Message:
        call = _without_none(id=self._call.id, sip=self._call.sip, to=self._call.to_number)
        if self._call.from_number is not None:
            call["from"] = self._call.from_number
        return {
            "type": "welcome",
            "version": VERSION,
            "session_id": self.session_id,
            "room_name": self.name,
            "call": call,
            "participants": [participant._told() for participant in self._began_with],
            "capabilities": self._handlers._capabilities(),
            "resumed": resumed,
        }

    def _join(self, link: _Link) -> None:
        """A connection takes over from the one before."""
        self._wake()
        self._link = link

    def _wake(self) -> None:
        if self._link is not None:
            self._link.news.set()

    def _say(self, message: Message) -> None:
        if self._ended.is_set():
            logger.debug("%s: the call is over, so %s is not said", self.name, message["type"])
            return
        message = {**message, "seq": len(self._said) + 1}
        while len(frame := _frame(message)) > MAX_FRAME and message.get("text"):
            # Nobody speaks for an hour on end.
            logger.warning("%s: the end of a turn is left out, as it does not fit %d bytes", self.name, MAX_FRAME)
            message["text"] = message["text"][: len(message["text"]) * (MAX_FRAME - 1024) // len(frame)]
        if len(frame) > MAX_FRAME:
            raise ValueError(f"a {message['type']} of {len(frame)} bytes; a frame has at most {MAX_FRAME}")
        self._said.append(frame.decode())
        self._wake()

    def _heard(self, message: Message) -> None:
        """Takes one message of the sidecar's; raises `_BadFrame` when it cannot be used."""
        match _field(message, "type", str):
            case "command":
                self._commanded(message)
            case "tone":
                tone = (_field(message, "instruction", str), _field(message, "label", str))
                # A sidecar that hears the call again says it again.
                if self._handlers.tone is not None and tone != self._tone:
                    self._tone = tone
                    self._do("tone", partial(self._handlers.tone, *tone))
            case "sentiment":
                if self._handlers.sentiment is not None:
                    self._do("sentiment", partial(self._handlers.sentiment, message))
            case "tools.register":
                self._registered(message)
            case "tool.result":
                answer = self._answers.get(_field(message, "call_id", str))
                if answer is not None and not answer.done():
                    answer.set_result(ToolResult(_field(message, "ok", bool), message.get("output")))
            case _:
                pass  # Others are ignored, as newer sidecars may know more.

    def _registered(self, message: Message) -> None:
        tools = []
        for tool in _field(message, "tools", list):
            if not isinstance(tool, dict):
                raise _BadFrame("tools must be objects")
            parameters = _field(tool, "parameters", dict)
            tools.append(Tool(_field(tool, "name", str), _field(tool, "description", str), parameters))
        if self._handlers.tools is not None and tools != self._tools:
            self._tools = tools
            self._do("tools", partial(self._handlers.tools, tools))

    def _commanded(self, message: Message) -> None:
        command_id, name = _field(message, "command_id", str), _field(message, "name", str)
        known = self._commands.get(command_id)
        if known is not None:
            # It is under way or done: it is not done again, but answered again.
            self._say(known)
            return
        work = self._work(name, _field(message, "args", dict), _field(message, "deadline_ms", int))
        if work is None:
            self._result(command_id, "failed", "unsupported", f"no handler for {name}")
        elif len(self._at_work) >= MAX_UNDER_WAY:
            self._result(command_id, "failed", "unknown", "too many commands are under way")
        else:
            self._result(command_id, "accepted")
            task = self._rooms._spawn(self._carry_out(command_id, name, work), self)
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
            if name == "transfer":
                self._transfers.add(task)
                task.add_done_callback(self._transfers.discard)

    def _work(self, name: str, args: Message, deadline_ms: int) -> Callable[[], Awaitable[object]] | None:
        """What carries a command out, where there is a handler."""
        match name:
            case "say" if (say := self._handlers.say) is not None:
                text = _field(args, "text", str)
                return partial(say, text)
            case "transfer" if (transfer := self._handlers.transfer) is not None:
                wanted = Transfer(_field(args, "target", str), _field(args, "ringing_timeout_ms", int), deadline_ms)
                return partial(transfer, wanted)
            case "set_flag" if (set_flag := self._handlers.set_flag) is not None:
                flag = Flag(*(_field(args, key, str) for key in ("alert_id", "severity", "description")))
                return partial(set_flag, flag)
            case _:
                return None

    async def _carry_out(self, command_id: str, name: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except TransferFailed as failed:
            self._result(command_id, "failed", failed.code, failed.detail)
        except Exception as error:
            logger.exception("%s: the handler of %s failed", self.name, name)
            self._result(command_id, "failed", "unknown", type(error).__name__)
        else:
            self._result(command_id, "done")

    def _result(self, command_id: str, status: str, code: str | None = None, detail: str | None = None) -> None:
        result = _without_none(
            type="command.result", command_id=command_id, status=status, code=code, detail=detail and detail[:500]
        )
        self._commands[command_id] = result
        self._say(result)

    def _do(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Calls a handler whose result nobody waits for, after those that were called so before."""

        async def guarded() -> None:
            async with self._in_order:
                try:
                    await work()
                except Exception:
                    logger.exception("%s: the handler of %s failed", self.name, name)

        self._rooms._spawn(guarded(), self)


class Rooms:
    """The calls of one process, and the way in for their sidecars."""

    def __init__(self, token: str | None = None) -> None:
        """`token` is what sidecars present as `Authorization: Bearer`; `Room.attach` needs none and has one made."""
        if token is not None and not token:
            raise ValueError("an empty token lets anybody in; leave it out to have one made")
        self.token: Final = token or secrets.token_urlsafe(32)
        self.url = ""
        self._rooms: dict[str, Room] = {}
        # Calls that are over, whose name another call has by now, by their sessions: their sidecars may not have heard all yet.
        self._before: dict[str, Room] = {}
        self._tasks: dict[asyncio.Task[Any], Room | None] = {}
        self._links: set[_Link] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def open(
        self,
        name: str,
        handlers: Handlers | None = None,
        *,
        call: Call | None = None,
        participants: Sequence[Participant] = (CALLER, AGENT),
    ) -> Room:
        """A call begins. Open its room before its sidecar dials: one that asks for an unknown room is sent away.

        Raises `ValueError` when a call of this name is going on.
        """
        known = self._rooms.get(name)
        if known is not None and not known.ended:
            raise ValueError(f"a call named {name!r} is going on")
        if known is not None:
            self._before[known.session_id] = known
        room = self._rooms[name] = Room(self, name, handlers or Handlers(), call or Call(), participants)
        return room

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens, and returns the URL to attach to; port 0 takes a free one.

        An app with an aiohttp server of its own, for TLS say, adds `handle` to its routes instead, and sets `url`.
        """
        app = web.Application()
        app.router.add_get("/room", self.handle)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"ws://{shown}:{bound}/room"
        return self.url

    async def stop(self) -> None:
        """Cuts every connection, stops handlers that are at work, and ends the sidecars that `Room.attach` started."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(link.part(CLOSE_GOING_AWAY, "the app stops") for link in self._links))
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def finish(self, reason: str = "the app ends", patience: float = 8.0) -> None:
        """Stops, once sidecars have dealt with all that was said, after `patience` seconds at the latest.

        Calls that go on have half of that to end by themselves, with their last words, and are ended then.
        """
        rooms = [*self._rooms.values(), *self._before.values()]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(room._ended.wait() for room in rooms)), patience / 2)
        for room in rooms:
            room.end(reason)
        attached = [task for task, room in self._tasks.items() if room is None]
        waiting = asyncio.gather(*(room.closed(patience) for room in rooms), *attached, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(waiting, patience / 2)
        await self.stop()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """An aiohttp handler: one sidecar's connection, from its handshake to its end."""
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            raise web.HTTPUnauthorized(text="the bearer token is missing or wrong")
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if SUBPROTOCOL not in (one.strip() for one in offered):
            raise web.HTTPBadRequest(text=f"the subprotocol {SUBPROTOCOL} was not offered")
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MAX_FRAME, heartbeat=HEARTBEAT, compress=False, timeout=5.0
        )
        await socket.prepare(request)
        link = _Link(socket)
        self._links.add(link)
        try:
            await link.run(self)
        except ConnectionError:
            pass  # Cut: the sidecar dials again.
        finally:
            self._links.discard(link)
            if link.room is not None and link.room._link is link:
                link.room._link = None
                if link.has_said_goodbye(link.room):
                    link.room._heard_all.set()
                if link.room._heard_all.is_set():
                    self._forget(link.room)
        return socket

    def _holds(self, room: Room) -> bool:
        return self._rooms.get(room.name) is room

    def _of(self, name: str, session_id: object) -> Room | None:
        """The call of this name that is going on; for a sidecar of the one before it, that one."""
        before = self._before.get(session_id) if isinstance(session_id, str) else None
        return before if before is not None and before.name == name else self._rooms.get(name)

    def _forget(self, room: Room) -> None:
        if self._holds(room):
            del self._rooms[room.name]
        self._before.pop(room.session_id, None)
        if room._link is not None:
            self._spawn(room._link.part(CLOSE_OVER, "the call is over"))

    def _spawn(self, work: Coroutine[Any, Any, T], room: Room | None = None) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        # Tasks that nobody holds may vanish half done.
        self._tasks[task] = room
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task


class _BadFrame(ValueError):
    """A frame that cannot be used. What is said about it holds no word of the call."""


class _Link:
    """One sidecar's connection: the reader in `run`, the writer in `_write`."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.room: Room | None = None
        self.news = asyncio.Event()
        self._socket = socket
        self._cursor = 0
        self._acked = 0

    async def run(self, rooms: Rooms) -> None:
        try:
            async with asyncio.timeout(HELLO_PATIENCE):
                room, resumed = await self._hello(rooms)
        except (TimeoutError, _BadFrame) as error:
            await self.part(CLOSE_PROTOCOL, str(error) or "no hello came")
            return
        self.room = room
        room._join(self)
        await self._send(room._welcome(resumed))
        writer = asyncio.create_task(self._write(room))
        try:
            async for frame in self._socket:
                try:
                    self._take(room, _message(frame.type, frame.data))
                except ValueError as error:
                    await self._send({"type": "error", "code": "bad_frame", "message": str(error), "retryable": False})
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _hello(self, rooms: Rooms) -> tuple[Room, bool]:
        """The room that the first message asks for, and whether the sidecar goes on where it was."""
        frame = await self._socket.receive()
        if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            raise ConnectionResetError("gone before hello")
        message = _message(frame.type, frame.data)
        if message.get("type") != "hello":
            raise _BadFrame("hello comes first")
        if VERSION not in _field(message, "versions", list):
            raise _BadFrame(f"version {VERSION} was not offered")
        resume = message.get("resume")
        session_id = resume.get("session_id") if isinstance(resume, dict) else None
        room = rooms._of(_field(message, "room_name", str), session_id)
        if room is None:
            raise _BadFrame("no such call, or it is over")
        if not isinstance(resume, dict) or session_id != room.session_id:
            return room, False
        last = _field(resume, "last_seq", int)
        if not 0 <= last <= len(room._said):
            return room, False
        self._cursor = self._acked = last
        return room, True

    def _take(self, room: Room, message: Message) -> None:
        if message.get("type") == "ack":
            self._acked = max(self._acked, _field(message, "seq", int))
            self.news.set()
        elif room._link is self:
            room._heard(message)

    async def _write(self, room: Room) -> None:
        """Says what is new, as fast as the sidecar reads: what waits is in the room's history and nowhere else."""
        with suppress(ConnectionError):
            while True:
                self.news.clear()
                if room._link is not self:
                    return await self.part(CLOSE_SUPERSEDED, "another connection took over")
                while self._cursor < len(room._said):
                    await self._socket.send_str(room._said[self._cursor])
                    self._cursor += 1
                if room._ended.is_set() and self._acked >= len(room._said):
                    room._heard_all.set()
                    return await self.part(CLOSE_OVER, "")
                await self.news.wait()

    def has_said_goodbye(self, room: Room) -> bool:
        """Whether the sidecar left of itself after all was said. Its last ack may have come with that, not yet seen."""
        over = room._ended.is_set() and self._cursor >= len(room._said)
        return over and self._socket.close_code == CLOSE_OVER

    async def _send(self, message: Message) -> None:
        await self._socket.send_str(_frame(message).decode())

    async def part(self, code: int, reason: str) -> None:
        """Closes, and gives the sidecar a moment to close as well."""
        with suppress(ConnectionError, TimeoutError):
            await self._socket.close(code=code, message=reason.encode()[:120])


async def _attached(
    room: Room, command: Sequence[str], environment: Mapping[str, str], event: Callable[[Message], object] | None
) -> int:
    """Runs the sidecar, and again where that helps. Returns its last exit code."""
    failures = 0
    while True:
        began = time.monotonic()
        code = await _run(command, environment, event)
        # Below zero it was killed by a signal. Another one would find no call, or another call of that name.
        if not (code in AGAIN or code < 0) or room._heard_all.is_set() or not room._rooms._holds(room):
            if code != 0:
                logger.error("%s: the sidecar ended with %d, and none is there now", room.name, code)
            return code
        failures = 0 if time.monotonic() - began > 60 else failures
        delay = DELAYS[min(failures, len(DELAYS) - 1)]
        logger.warning("%s: the sidecar ended with %d; another one starts in %.2f s", room.name, code, delay)
        await asyncio.sleep(delay)
        if not room._rooms._holds(room):
            return code
        failures += 1


async def _run(
    command: Sequence[str], environment: Mapping[str, str], event: Callable[[Message], object] | None
) -> int:
    stdout = asyncio.subprocess.DEVNULL if event is None else asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=stdout, limit=1024 * 1024
        )
    except OSError as error:
        logger.error("%s cannot be started: %s; is it on the PATH?", command[0], error.strerror)
        return NOT_STARTED
    try:
        while event is not None and child.stdout is not None and (line := await child.stdout.readline()):
            try:
                event(json.loads(line))
            except Exception:
                logger.exception("what takes the sidecar's events failed")
        return await child.wait()
    finally:
        if child.returncode is None:
            # Rates what is open, and leaves its store in order.
            with suppress(ProcessLookupError):
                child.terminate()
            await child.wait()


def _without_none(**fields: Any) -> Message:
    return {key: value for key, value in fields.items() if value is not None}


def _frame(message: Message) -> bytes:
    # Half of a surrogate pair, as some recognisers leave it, is no UTF-8.
    return json.dumps(message, ensure_ascii=False, allow_nan=False).encode(errors="replace")


def _message(kind: WSMsgType, data: Any) -> Message:
    if kind is not WSMsgType.TEXT:
        raise _BadFrame("only text frames are spoken")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise _BadFrame("not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise _BadFrame('not an object with a string "type"')
    return message


def _field(message: Message, key: str, kind: type[T]) -> T:
    value = message.get(key)
    # True is an int to Python, and none to JSON.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _BadFrame(f"{message.get('type', 'a field')}: {key} must be of type {kind.__name__}")
    return value
