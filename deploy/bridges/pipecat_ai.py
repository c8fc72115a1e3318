"""Puts the call of a Pipecat pipeline into a room of sentiment-sidecar. Shown with pipecat-ai 1.14.

Copy this file and `sentiment_room.py` beside your bot. (It is not called `pipecat.py`, as it would hide the package of
that name from your bot.) Where the pipeline is built::

    async with Rooms() as rooms:
        room = join(rooms, worker, aggregators, context, "call-1", transfer=transfer)
        room.attach("--agent", "agent.json")
        await runner.run()
        await rooms.finish()

`aggregators` is the `LLMContextAggregatorPair` of the pipeline. Transports differ in how they transfer a caller, so
`transfer` is yours: with Daily's it is `transport.sip_refer(…)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ControlFrame,
    Frame,
    LLMMessagesAppendFrame,
    LLMSetToolsFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    UserTurnMessageAddedMessage,
)
from pipecat.services.llm_service import FunctionCallParams
from sentiment_room import AGENT, CALLER, Call, Flag, Handlers, Room, Rooms, Tool, Transfer


@dataclass
class _Spoken(ControlFrame):
    """Goes through the pipeline behind a sentence: once it is at the end, the sentence was played."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)
    interruptible: bool = field(default=False, init=False)


def join(
    rooms: Rooms,
    worker: PipelineWorker,
    aggregators: LLMContextAggregatorPair,
    context: LLMContext,
    name: str,
    *,
    call: Call | None = None,
    transfer: Callable[[Transfer], Awaitable[object]] | None = None,
    set_flag: Callable[[Flag], Awaitable[object]] | None = None,
) -> Room:
    """Opens the room of a pipeline's call, and wires the two. To be called before the worker runs."""

    async def say(text: str) -> None:
        sentence, spoken = TTSSpeakFrame(text), _Spoken()
        sentence.interruptible = False
        await worker.queue_frames([sentence, spoken])
        await spoken.heard.wait()

    async def tone(instruction: str, _label: str) -> None:
        message: Any = {"role": "developer", "content": instruction}
        await worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=False))

    async def tools(offered: Sequence[Tool]) -> None:
        before = context.tools if isinstance(context.tools, ToolsSchema) else ToolsSchema([])
        # A direct function is offered as what it was: its handler comes and goes with it.
        direct = {wrapper.name: wrapper.function for wrapper in before.direct_functions}
        ours = {tool.name: _schema(room, tool) for tool in offered}
        others = [direct.get(tool.name, tool) for tool in before.standard_tools if tool.name not in ours]
        await worker.queue_frame(LLMSetToolsFrame(ToolsSchema([*others, *ours.values()], before.custom_tools)))

    handlers = Handlers(say=say, tone=tone, tools=tools, transfer=transfer, set_flag=set_flag)
    room = rooms.open(name, handlers, call=call)
    pieces: dict[str, list[str]] = {}

    async def on_user(_: object, message: UserTurnMessageAddedMessage) -> None:
        # A turn that was answered before it was over is written in pieces, all of one beginning.
        said = pieces.setdefault(message.timestamp, []) if message.timestamp else []
        said.append(message.content)
        began = _ms(room, message.timestamp)
        room.turn(CALLER, " ".join(said), turn_id=message.timestamp and f"user_{message.timestamp}", start_ms=began)

    async def on_assistant(_: object, message: AssistantTurnStoppedMessage) -> None:
        room.turn(AGENT, message.content, start_ms=_ms(room, message.timestamp))

    async def on_frame(_: object, frame: Frame) -> None:
        if isinstance(frame, _Spoken):
            frame.heard.set()

    async def on_finished(_: object, frame: Frame) -> None:
        room.end(type(frame).__name__)

    aggregators.user().add_event_handler("on_user_turn_message_added", on_user)
    aggregators.assistant().add_event_handler("on_assistant_turn_stopped", on_assistant)
    worker.add_reached_downstream_filter((_Spoken,))
    worker.add_event_handler("on_frame_reached_downstream", on_frame)
    worker.add_event_handler("on_pipeline_finished", on_finished)
    return room


def _schema(room: Room, tool: Tool) -> FunctionSchema:
    async def call(params: FunctionCallParams) -> None:
        result = await room.call_tool(params.arguments, name=tool.name)
        await params.result_callback(result.output)

    parameters: dict[str, Any] = dict(tool.parameters)
    return FunctionSchema(tool.name, tool.description, parameters["properties"], parameters.get("required", []), call)


def _ms(room: Room, timestamp: str) -> int | None:
    return room.ms(datetime.fromisoformat(timestamp).timestamp()) if timestamp else None
