"""Puts the call of a LiveKit `AgentSession` into a room of sentiment-sidecar. Shown with livekit-agents 1.8.

Copy this file and `sentiment_room.py` beside your agent. In its entrypoint, before the session starts::

    rooms = Rooms()
    await rooms.start()
    ctx.add_shutdown_callback(rooms.finish)
    room = join(rooms, session, ctx.room.name, transfer=by_sip(ctx.api, ctx.room.name, caller.identity))
    room.attach("--agent", "agent.json")

The sidecar runs beside the call, as a child of the job's process, and ends with it.

Where a sidecar joins LiveKit rooms itself (`attach --dialect livekit`), turns need nothing of an agent. One line has it say
sentences, sound as it is told to, and offer the tool; `sentiment_room.py` is needed beside this file all the same::

    await obey(ctx.room, session)
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ConnectionTimeoutError
from google.protobuf.duration_pb2 import Duration
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    CloseEvent,
    ConversationItemAddedEvent,
    RunContext,
    UserInputTranscribedEvent,
    function_tool,
)
from livekit.agents.llm import ChatMessage, RawFunctionTool
from livekit.agents.llm.chat_context import Instructions
from livekit.api import LiveKitAPI, TwirpError
from livekit.api.sip_service import SipService
from livekit.protocol.sip import SIPTransferReason, SIPTransferStatus, TransferSIPParticipantRequest
from sentiment_room import AGENT, CALLER, Call, Flag, Handlers, Room, Rooms, Tool, Transfer, TransferFailed

TOOL_PATIENCE = 10.0
"""How long an agent waits for the answer to a tool call, in seconds."""

BY_STATUS = {"486": "busy", "600": "busy", "603": "declined", "408": "no_answer", "480": "no_answer"}
BY_REASON = {
    "STR_RINGING_TIMEOUT": "no_answer",
    "STR_REJECTED": "declined",
    "STR_CALL_ENDED": "caller_gone",
    "STR_CANCELED": "cancelled",
}

MAX_HEARD = 256
"""How much is kept of what a caller said and the session makes no item of: so many pieces."""


def join(
    rooms: Rooms,
    session: AgentSession[Any],
    name: str,
    *,
    call: Call | None = None,
    transfer: Callable[[Transfer], Awaitable[object]] | None = None,
    set_flag: Callable[[Flag], Awaitable[object]] | None = None,
) -> Room:
    """Opens the room of a session's call, and wires the two. To be called before `session.start`."""
    outfit = _Outfit(session)

    async def say(text: str) -> None:
        spoken = await session.say(text, allow_interruptions=False)
        if (error := spoken.exception()) is not None:
            raise error

    async def tone(instruction: str, _label: str) -> None:
        await outfit.change(instruction=instruction)

    async def tools(offered: Sequence[Tool]) -> None:
        await outfit.change(tools=[_function_tool(room, tool) for tool in offered])

    handlers = Handlers(say=say, tone=tone, tools=tools, transfer=transfer, set_flag=set_flag)
    room = rooms.open(name, handlers, call=call)
    heard = _Heard()

    def on_transcript(event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            heard.final(event.transcript)

    def on_item(event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, ChatMessage) and item.role in ("user", "assistant"):
            began, ended = item.metrics.get("started_speaking_at"), item.metrics.get("stopped_speaking_at")
            room.turn(
                CALLER if item.role == "user" else AGENT,
                heard.whole(item) if item.role == "user" else item.text_content or "",
                turn_id=item.id,
                start_ms=room.ms(began) if began else None,
                end_ms=room.ms(ended) if ended else None,
            )
        elif item.type == "agent_handoff":
            outfit.another_agent()

    def on_close(event: CloseEvent) -> None:
        room.end(event.reason.value)

    # Whoever ends it: an app that ends its rooms may be faster than the session.
    room.before_end = lambda: room.turn(CALLER, heard.rest())
    session.on("user_input_transcribed", on_transcript)
    session.on("conversation_item_added", on_item)
    session.on("close", on_close)
    return room


def by_sip(api: LiveKitAPI, room_name: str, identity: str) -> Callable[[Transfer], Awaitable[None]]:
    """A `transfer` by LiveKit's SIP service, of the SIP participant `identity`; waits for what comes of it."""

    async def transfer(wanted: Transfer) -> None:
        request = TransferSIPParticipantRequest(
            room_name=room_name,
            participant_identity=identity,
            transfer_to=f"tel:{wanted.target}",
            play_dialtone=True,
            ringing_timeout=Duration(seconds=wanted.ringing_timeout_ms // 1000),
        )
        try:
            done = await _asked_once(api.sip).transfer_sip_participant(request, timeout=wanted.deadline_ms / 1000)
        except TwirpError as error:
            told = error.metadata
            reason, status = told.get("sip_transfer_reason", ""), told.get("sip_status_code", "")
            # Without either the service did not even try: it refused the request, unless it ran out of time.
            refused = not (reason or status) and 400 <= error.status < 500 and error.status != 408
            raise TransferFailed("unreachable" if refused else _outcome(reason, status), error.code) from None
        except (ClientConnectorError, ConnectionTimeoutError):
            raise TransferFailed("unreachable", "no connection to the server's API") from None
        except TimeoutError:
            raise TransferFailed("unknown", "no result came in time") from None
        except ClientError as error:
            raise TransferFailed("unknown", f"the connection broke ({type(error).__name__})") from None
        # A server of before 2026 says nothing but that it was done.
        if done.transfer_id and done.status != SIPTransferStatus.STS_TRANSFER_SUCCESSFUL:
            reason = SIPTransferReason.Name(done.reason)
            raise TransferFailed(_outcome(reason, str(done.sip_status.code or "")), reason)

    return transfer


def _asked_once(sip: SipService) -> SipService:
    """The same service, asked once. For LiveKit Cloud the client asks another region whenever the first one fails, also
    where a phone was busy or no answer came in time: it would ring again, or a second transfer would be under way."""
    once = copy(sip)
    once._client = copy(sip._client)
    once._client._failover = False
    return once


def _outcome(reason: str, status: str) -> str:
    """What a failed transfer came to: by the human's phone where it says, else by LiveKit's own reason."""
    final = status if status.isdigit() and 300 <= int(status) < 700 else "unknown"
    return BY_STATUS.get(status) or BY_REASON.get(reason) or final


async def obey(room: rtc.Room, session: AgentSession[Any]) -> None:
    """Carries out what a sidecar asks for that has joined this room itself: sentences, the tone, the tool. To be called when
    the room is connected; asked for by nobody, it does nothing."""
    outfit, waiting = _Outfit(session), dict[str, asyncio.Future[str]]()

    async def say(wanted: dict[str, Any]) -> None:
        spoken = await session.say(wanted["text"], allow_interruptions=False)
        if (error := spoken.exception()) is not None:
            raise error

    async def tone(wanted: dict[str, Any]) -> None:
        await outfit.change(instruction=wanted["instruction"])

    async def tools(wanted: dict[str, Any]) -> None:
        await outfit.change(tools=[_tool_of_session(schema, waiting) for schema in wanted["tools"]])

    async def tool_result(wanted: dict[str, Any]) -> None:
        # It may be here before the tool that waits for it.
        answer = waiting.setdefault(wanted["call_id"], asyncio.get_running_loop().create_future())
        if not answer.done():
            answer.set_result(json.dumps(wanted["output"]))

    def on_item(event: ConversationItemAddedEvent) -> None:
        if event.item.type == "agent_handoff":
            outfit.another_agent()

    session.on("conversation_item_added", on_item)
    for handler in (say, tone, tools, tool_result):
        name = f"sentiment-sidecar.{handler.__name__}"
        room.local_participant.register_rpc_method(name, _by_the_server(room, handler))
    # Tells the sidecar that the agent is ready.
    await room.local_participant.set_attributes({"sentiment-sidecar": "1"})


def _by_the_server(
    room: rtc.Room, handler: Callable[[dict[str, Any]], Awaitable[None]]
) -> Callable[[rtc.RpcInvocationData], Awaitable[str]]:
    """Participants ask under their names, and have no business here; the server asks under the id of what it asks."""

    async def method(data: rtc.RpcInvocationData) -> str:
        if data.caller_identity != data.request_id or data.caller_identity in room.remote_participants:
            raise rtc.RpcError(1403, "only the server's API may ask for this")
        await handler(json.loads(data.payload))
        return "{}"

    return method


def _tool_of_session(schema: dict[str, Any], waiting: dict[str, asyncio.Future[str]]) -> RawFunctionTool[..., Any]:
    """The sidecar hears of the call from the session, and answers it by `tool_result`."""

    async def call(raw_arguments: dict[str, object], context: RunContext[Any]) -> str:
        answer = waiting.setdefault(context.function_call.call_id, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(answer, TOOL_PATIENCE)
        except TimeoutError:
            return json.dumps({"escalated": False, "reason": "nobody answered"})
        finally:
            waiting.pop(context.function_call.call_id, None)

    return function_tool(call, raw_schema=schema)


class _Heard:
    """What the caller said that stands in no item of the session yet. A session makes none of what its agent does not answer,
    as while the agent must not be interrupted."""

    def __init__(self) -> None:
        # Each with its words. The oldest go: the next item is made of the newest, and without these it would be like nothing
        # that was heard, and all of it would go.
        self._finals = deque[tuple[str, list[str]]](maxlen=MAX_HEARD)
        # What an item's text stands behind, by the item's id: a realtime model may tell an item again.
        self._before: dict[str, list[str]] = {}

    def final(self, text: str) -> None:
        """The recogniser is done with some words."""
        if words := _words(text):
            self._finals.append((text, words))

    def whole(self, item: ChatMessage) -> str:
        """An item's text, behind what was said before it and is in none."""
        text = item.text_content or ""
        # What was typed, or is an app's own invention, has no confidence: it has nothing to do with what was heard.
        if item.transcript_confidence is not None and (words := _words(text)):
            if before := self._taken(words):
                self._before[item.id] = [*self._before.get(item.id, ()), *before]
                if len(self._before) > MAX_HEARD:
                    del self._before[next(iter(self._before))]
        return " ".join([*self._before.get(item.id, ()), text])

    def _taken(self, item: list[str]) -> list[str]:
        """Takes what was heard up to an item's words, and returns what is before these. An item that is not word for word what
        was heard may have all of it in other words."""
        finals = list(self._finals)
        self._finals.clear()
        for first in range(len(finals)):
            at = 0
            for last in range(first, len(finals)):
                words = finals[last][1]
                if item[at : at + len(words)] != words:
                    break
                at += len(words)
                if at == len(item):
                    self._finals.extend(finals[last + 1 :])
                    return [text for text, _ in finals[:first]]
        return []

    def rest(self) -> str:
        """What was said last."""
        said = " ".join(text for text, _ in self._finals)
        self._finals.clear()
        return said


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


class _Outfit:
    """The tone and the tools, on whichever agent of the session is on the call."""

    def __init__(self, session: AgentSession[Any]) -> None:
        self._session = session
        self._instruction = ""
        self._tools: list[RawFunctionTool[..., Any]] = []
        # What each agent was told by its author, and what it is told now.
        self._told: dict[Agent, tuple[str, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def change(
        self, *, instruction: str | None = None, tools: list[RawFunctionTool[..., Any]] | None = None
    ) -> None:
        self._instruction = self._instruction if instruction is None else instruction
        self._tools = self._tools if tools is None else tools
        await self._dress()

    def another_agent(self) -> None:
        task = asyncio.ensure_future(self._dress())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dress(self) -> None:
        try:
            agent = self._session.current_agent
        except RuntimeError:
            return  # None yet: the first one comes on as every other does.
        now = agent.instructions
        now = now.render(modality="audio") if isinstance(now, Instructions) else now
        own, told = self._told.get(agent, (now, now))
        # An author who changed the instructions meanwhile is not overruled.
        own = own if now == told else now
        wanted = f"{own}\n\n{self._instruction}" if self._instruction else own
        # Known before it is said: another change may come meanwhile.
        self._told[agent] = (own, wanted)
        if wanted != now:
            await agent.update_instructions(wanted)
        if self._tools:
            await agent.update_tools([*agent.tools, *self._tools])


def _function_tool(room: Room, tool: Tool) -> RawFunctionTool[..., Any]:
    async def call(raw_arguments: dict[str, object]) -> str:
        result = await room.call_tool(raw_arguments, name=tool.name)
        return json.dumps(result.output)

    schema = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return function_tool(call, raw_schema=schema)
