"""The frameworks that people run, each with the real sidecar: what a caller says to their agent, and what comes of it.

Every test runs once a framework: `pytest -k livekit`, `pytest -k pipecat`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol

import pytest
from sentiment_room import Flag, Participant, Room, Rooms, Transfer, TransferFailed
from support import ANGRY, TARGET, Event, desk, going_on, hook, in_loop, to_act, until, wire

Transferring = Callable[[Transfer], Awaitable[object]]
Flagging = Callable[[Flag], Awaitable[object]]


class App(Protocol):
    """One call of a voice app."""

    room: Room

    @property
    def spoken(self) -> list[str]: ...
    @property
    def instructions(self) -> str: ...
    async def start(self) -> None: ...
    async def caller(self, *finals: str) -> None: ...
    async def interrupted(self, first: str, second: str) -> None: ...
    async def tool(self, arguments: Event) -> Any: ...
    async def end(self) -> None: ...


def calling(
    framework: str,
    rooms: Rooms,
    name: str = "room_1",
    *,
    transfer: Transferring | None = None,
    set_flag: Flagging | None = None,
) -> AbstractAsyncContextManager[App]:
    if framework == "livekit":
        from livekit_app import LiveKitApp

        return going_on(LiveKitApp(rooms, name, transfer, set_flag))
    from pipecat_app import PipecatApp

    return going_on(PipecatApp(rooms, name, transfer, set_flag))


def told(room: Room) -> list[tuple[str, str]]:
    """Whose turns the room was told of, in order, and their words."""
    frames = [json.loads(frame) for frame in room._said]
    return [(one["participant_id"], one["text"]) for one in frames if one["type"] == "turn.ended"]


both = pytest.mark.parametrize("framework", ["livekit", "pipecat"])


@both
@in_loop
async def test_turns_come_once_and_in_order_also_when_interrupted_and_escalate(framework: str) -> None:
    async with Rooms() as rooms, desk() as at, hook() as receiver, calling(framework, rooms) as call:
        sidecar = await at.attach(call.room, rooms, receiver.settings())
        await call.interrupted("Hello, it is about my invoice.", ANGRY[0])
        first, second = ANGRY[1].split(" at ")
        await call.caller(f"{first} at", second)
        await call.caller(ANGRY[2])
        escalation = await sidecar.event("escalation")
        await sidecar.event("delivery")
        await call.end()
        assert await sidecar.exit() == 0
        assert [text for _, text in sidecar.turns()] == ["Hello, it is about my invoice.", *ANGRY]
        assert len({turn_id for turn_id, _ in sidecar.turns()}) == 4
        assert (escalation["turn"], escalation["rule"]) == (4, "streak")
        assert [alert for alert, _ in receiver.came] == [escalation["alert_id"]]
        callers = [who for who, _ in told(call.room)]
        assert callers[-6:] == ["caller", "agent"] * 3, callers


@both
@in_loop
async def test_a_transfer_is_announced_and_handed_over(framework: str) -> None:
    handed: list[Transfer] = []

    async def transfer(wanted: Transfer) -> None:
        assert any("supervisor" in text for text in call.spoken), "the sentence was said first"
        handed.append(wanted)
        call.room.joined(Participant("desk", "supervisor"))

    async with Rooms() as rooms, desk() as at, calling(framework, rooms, transfer=transfer) as call:
        sidecar = await at.attach(call.room, rooms, to_act("transfer"))
        for text in ANGRY:
            await call.caller(text)
        assert (await sidecar.event("outcome"))["transfer"] == {"outcome": "transferred"}
        assert [one.target for one in handed] == [TARGET]
        await call.end()
        assert await sidecar.exit() == 0


@both
@in_loop
async def test_a_transfer_that_fails_is_told_to_caller_and_agent(framework: str) -> None:
    async def transfer(_wanted: Transfer) -> None:
        raise TransferFailed("no_answer")

    async with Rooms() as rooms, desk() as at, calling(framework, rooms, transfer=transfer) as call:
        sidecar = await at.attach(call.room, rooms, to_act("transfer"))
        for text in ANGRY:
            await call.caller(text)
        assert (await sidecar.event("outcome"))["transfer"] == {"outcome": "no_answer"}
        await until("the agent to know", lambda: "did not work (no_answer)" in call.instructions)
        await until("the caller to know", lambda: any("could not reach" in text for text in call.spoken))
        await call.end()
        assert await sidecar.exit() == 0


@both
@in_loop
async def test_a_flag_and_the_tone_reach_the_app(framework: str) -> None:
    flags: list[Flag] = []

    async def set_flag(flag: Flag) -> None:
        flags.append(flag)

    async with Rooms() as rooms, desk() as at, calling(framework, rooms, set_flag=set_flag) as call:
        sidecar = await at.attach(call.room, rooms, to_act("flag", sentimentToneNegative="Be brief and sorry."))
        for text in ANGRY:
            await call.caller(text)
        escalation = await sidecar.event("escalation")
        await until("the flag", lambda: flags)
        assert flags[0].alert_id == escalation["alert_id"]
        await until("the tone", lambda: call.instructions.endswith("Be brief and sorry."))
        await call.end()
        assert await sidecar.exit() == 0


@both
@in_loop
async def test_the_tool_is_offered_to_the_model_and_answered(framework: str) -> None:
    async with Rooms() as rooms, desk() as at, hook() as receiver, calling(framework, rooms) as call:
        sidecar = await at.attach(call.room, rooms, receiver.settings())
        answer = await call.tool({"sentiment_score": 1, "description": "The invoice is wrong again."})
        escalation = await sidecar.event("escalation")
        assert answer == {"escalated": True, "action": "notify", "alert_id": escalation["alert_id"]}
        assert escalation["rule"] == "tool"
        await sidecar.event("delivery")
        await call.end()
        assert await sidecar.exit() == 0


@both
@in_loop
async def test_cut_killed_and_started_again_a_call_comes_to_one_alert(framework: str) -> None:
    async with (
        Rooms() as rooms,
        desk() as at,
        hook() as receiver,
        wire(rooms) as between,
        calling(framework, rooms) as call,
    ):
        sidecar = await at.attach(call.room, rooms, receiver.settings(), between.url)
        await call.caller(ANGRY[0])
        await sidecar.event("turn")
        between.cut()
        await call.caller(ANGRY[1])
        await sidecar.event("turn")
        assert [event["resumed"] for event in sidecar.of("attached")] == [False, True]
        await call.caller(ANGRY[2])
        alert = (await sidecar.event("escalation"))["alert_id"]
        assert [text for _, text in sidecar.turns()][:2] == list(ANGRY[:2])
        await sidecar.kill()
        sidecar = await at.attach(call.room, rooms, receiver.settings())
        assert (await sidecar.event("escalation"))["alert_id"] == alert
        await until("the alert", lambda: receiver.came)
        await call.end()
        assert await sidecar.exit() == 0
        assert [text for _, text in sidecar.turns()] == list(ANGRY)
        assert {came for came, _ in receiver.came} == {alert}


@both
@in_loop
async def test_two_calls_side_by_side(framework: str) -> None:
    async with Rooms() as rooms, desk() as at, AsyncExitStack() as stack:
        calls = {name: await stack.enter_async_context(calling(framework, rooms, name)) for name in ("angry", "calm")}
        sidecars = {name: await at.attach(call.room, rooms, to_act("flag")) for name, call in calls.items()}
        for text in ANGRY:
            await calls["angry"].caller(text)
            await calls["calm"].caller("Thank you, that is great.")
        await sidecars["angry"].event("escalation")
        for name, call in calls.items():
            await call.end()
            assert await sidecars[name].exit() == 0
        assert [text for _, text in sidecars["calm"].turns()] == ["Thank you, that is great."] * 3
        assert not sidecars["calm"].of("escalation")
