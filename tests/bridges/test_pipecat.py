"""What Pipecat alone has: turns that are written in pieces, and tools of the bot's own beside ours."""

from __future__ import annotations

import asyncio
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_response_universal import UserTurnMessageAddedMessage
from pipecat.services.llm_service import FunctionCallParams
from pipecat_app import PipecatApp
from sentiment_room import Rooms, Tool
from support import going_on, in_loop, soon, until


async def look_up(params: FunctionCallParams, number: str) -> None:
    """Look an invoice up.

    Args:
        number: Its number.
    """


@in_loop
async def test_a_turn_that_is_written_in_pieces_is_one() -> None:
    async with Rooms() as rooms, going_on(PipecatApp(rooms, "room_1", None, None)) as app:
        # As the aggregator does when the model is asked before the caller is through.
        for content, begun in (("Nobody", "1"), ("seems to care.", "1"), ("Nobody.", "2")):
            message = UserTurnMessageAddedMessage(content, f"2026-01-01T00:00:0{begun}.000+00:00")
            await app.pair.user()._call_event_handler("on_user_turn_message_added", message)
        await until("the turns", lambda: len(app.room._turns) == 2)
        await until("the whole turn", lambda: "seems" in str(app.room._turns))
        assert [turn["text"] for turn in app.room._turns.values()] == ["Nobody seems to care.", "Nobody."]


@in_loop
async def test_the_tools_of_the_bot_stay() -> None:
    own = FunctionSchema("hang_up", "Ends the call.", {}, [])
    tool = Tool("escalate_sentiment", "Call this.", {"type": "object", "properties": {}})
    async with Rooms() as rooms:
        app = PipecatApp(rooms, "room_1", None, None)
        app.context.set_tools(ToolsSchema([look_up, own]))
        async with going_on(app):
            tools = app.room._handlers.tools
            assert tools is not None
            for _ in range(2):
                await tools([tool])
                await until("the tool", lambda: "escalate_sentiment" in names(app))
            assert names(app) == ["look_up", "hang_up", "escalate_sentiment"]
            # Its handler still comes along.
            offered: Any = app.context.tools
            assert [wrapper.function for wrapper in offered.direct_functions] == [look_up]


@in_loop
async def test_say_returns_when_the_sentence_was_heard_even_if_the_caller_interrupts() -> None:
    async with Rooms() as rooms, going_on(PipecatApp(rooms, "room_1", None, None)) as app:
        say = app.room._handlers.say
        assert say is not None
        app.line.free.clear()
        app.line.before_held = 1
        saying = asyncio.ensure_future(say("A supervisor is coming. They will be with you in a moment."))
        await until("the sentence", app.line.waits.is_set)
        await app.ears.hear("Hello?")
        await asyncio.sleep(0.1)
        assert not saying.done()
        app.line.free.set()
        await soon("its end", wait(saying))
        await until("all of it to be told", lambda: "in a moment" in str(app.room._turns))


@in_loop
async def test_a_pipeline_that_is_cancelled_ends_the_call() -> None:
    async with Rooms() as rooms, going_on(PipecatApp(rooms, "room_1", None, None)) as app:
        await app.worker.cancel()
        await until("its end", lambda: app.room.ended)


def names(app: PipecatApp) -> list[str]:
    tools = app.context.tools
    return [tool.name for tool in tools.standard_tools] if isinstance(tools, ToolsSchema) else []


async def wait(future: asyncio.Future[object]) -> object:
    return await future
