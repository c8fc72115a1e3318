"""The bridge itself: what it does for the real sidecar, and what it answers to one that is not right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sentiment_room import (
    AGENT,
    CALLER,
    MAX_FRAME,
    SUBPROTOCOL,
    Call,
    Flag,
    Handlers,
    Participant,
    Room,
    Rooms,
    Tool,
    Transfer,
    TransferFailed,
)
from support import ANGRY, PROGRAM, TARGET, Event, desk, hook, in_loop, soon, to_act, until, wire

NAMES = [f"turn_{n}" for n in (1, 2, 3)]


def say_angry(room: Room) -> None:
    for n, text in enumerate(ANGRY):
        room.turn(CALLER, text, start_ms=n * 10_000, end_ms=n * 10_000 + 3_000)
        room.turn(AGENT, "I am sorry to hear that.", turn_id=f"agent_{n}", start_ms=n * 10_000 + 4_000)


@in_loop
async def test_turns_arrive_once_in_order_and_a_third_angry_one_notifies() -> None:
    async with Rooms() as rooms, desk() as at, hook() as receiver:
        room = rooms.open("room_1", call=Call("call-1", from_number="+14155550100"))
        sidecar = await at.attach(room, rooms, receiver.settings())
        await sidecar.event("attached")
        say_angry(room)
        escalation = await sidecar.event("escalation")
        assert (escalation["turn"], escalation["action"]) == (3, "notify")
        await sidecar.event("delivery")
        room.end("hangup")
        assert await room.closed()
        assert await sidecar.exit() == 0
        assert [text for _, text in sidecar.turns()] == list(ANGRY)
        assert [alert for alert, _ in receiver.came] == [escalation["alert_id"]]
        ended = sidecar.of("ended")[0]
        assert (ended["reason"], ended["turns"]) == ("hangup", 3)
        await until("the room to be let go", lambda: not rooms._rooms and not rooms._links)


@in_loop
async def test_a_transfer_is_announced_and_its_result_comes_back() -> None:
    done: list[Any] = []
    human = Participant("desk", "supervisor", "Ines")

    async def say(text: str) -> None:
        done.append(text)

    async def transfer(wanted: Transfer) -> None:
        done.append(wanted)
        room.joined(human)

    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1", Handlers(say=say, transfer=transfer))
        sidecar = await at.attach(room, rooms, to_act("transfer"))
        say_angry(room)
        outcome = await sidecar.event("outcome")
        assert outcome["transfer"] == {"outcome": "transferred"}
        assert [type(one) for one in done] == [str, Transfer]
        assert done[1].target == TARGET
        assert done[1].ringing_timeout_ms > 0 and done[1].deadline_ms > done[1].ringing_timeout_ms
        room.left(CALLER)
        room.end("transferred")
        assert await sidecar.exit() == 0


@in_loop
async def test_a_transfer_that_fails_says_why_and_the_caller_is_told() -> None:
    said: list[str] = []
    tones: list[str] = []

    async def say(text: str) -> None:
        said.append(text)

    async def tone(instruction: str, _label: str) -> None:
        tones.append(instruction)

    async def transfer(_wanted: Transfer) -> None:
        raise TransferFailed("busy", "486 Busy Here")

    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1", Handlers(say=say, tone=tone, transfer=transfer))
        sidecar = await at.attach(room, rooms, to_act("transfer"))
        say_angry(room)
        assert (await sidecar.event("outcome"))["transfer"] == {"outcome": "busy"}
        await until("the caller to be told", lambda: len(said) == 2)
        await until("the agent to be told", lambda: "did not work (busy)" in tones[-1])
        room.end("hangup")
        assert await sidecar.exit() == 0
    with pytest.raises(ValueError, match="not 'engaged'"):
        TransferFailed("engaged")


@in_loop
async def test_a_transfer_that_ends_the_call_still_says_that_it_was_done() -> None:
    handed_over = asyncio.Event()

    async def transfer(_wanted: Transfer) -> None:
        # The caller's leg ends, and only then does the platform say that the human has them.
        room.left(CALLER)
        room.end("participant left")
        await asyncio.sleep(0.1)
        handed_over.set()

    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1", Handlers(transfer=transfer))
        sidecar = await at.attach(room, rooms, to_act("transfer"))
        say_angry(room)
        assert await sidecar.exit() == 0
        assert handed_over.is_set()
        assert sidecar.of("outcome")[0]["transfer"] == {"outcome": "transferred"}
        assert await room.closed()


@in_loop
async def test_a_flag_reaches_the_app() -> None:
    flags: list[Flag] = []

    async def set_flag(flag: Flag) -> None:
        flags.append(flag)

    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1", Handlers(set_flag=set_flag))
        sidecar = await at.attach(room, rooms, to_act("flag"))
        say_angry(room)
        escalation = await sidecar.event("escalation")
        await until("the flag", lambda: flags)
        assert (flags[0].alert_id, flags[0].severity) == (escalation["alert_id"], escalation["severity"])
        room.end("hangup")
        assert await sidecar.exit() == 0


@in_loop
async def test_a_room_offers_what_has_a_handler_and_answers_the_rest() -> None:
    async with Rooms() as rooms:
        rooms.open("room_1", Handlers(say=lambda text: asyncio.sleep(0)))
        async with peer(rooms) as (welcome, socket):
            assert welcome["capabilities"] == ["turn_events", "say"]
            transfer = {"target": TARGET, "ringing_timeout_ms": 1000}
            await socket.send_json(command("c1", "transfer", transfer))
            assert (await socket.receive_json(timeout=5))["code"] == "unsupported"


@in_loop
async def test_the_tool_is_offered_and_its_answer_comes_back() -> None:
    offered: list[Tool] = []

    async def tools(given: Any) -> None:
        offered.extend(given)

    async with Rooms() as rooms, desk() as at, hook() as receiver:
        room = rooms.open("room_1", Handlers(tools=tools))
        sidecar = await at.attach(room, rooms, receiver.settings())
        await until("the tool", lambda: offered)
        assert offered[0].name == "escalate_sentiment" and "sentiment_score" in offered[0].parameters["properties"]
        calm = await room.call_tool({"sentiment_score": 9, "description": "All is well."}, call_id="k1")
        assert not calm.ok and "not below the threshold" in calm.output["reason"]
        # The model's own text does as well; the same call is asked once.
        upset = '{"sentiment_score": 1, "description": "The invoice is wrong again."}'
        asked = await room.call_tool(upset, call_id="k2")
        assert asked.ok and asked.output["action"] == "notify"
        assert await room.call_tool(upset, call_id="k2") == asked
        assert (await sidecar.event("escalation"))["rule"] == "tool"
        await sidecar.event("delivery")
        room.end("hangup")
        assert await sidecar.exit() == 0
        assert len(sidecar.of("tool")) == 2 and len(receiver.came) == 1


@in_loop
async def test_without_a_sidecar_the_model_is_not_kept_waiting() -> None:
    async with Rooms() as rooms:
        room = rooms.open("room_1")
        result = await room.call_tool({"sentiment_score": 1, "description": "…"}, patience=0.01)
        assert not result.ok and result.output["escalated"] is False


@in_loop
async def test_killed_and_started_again_it_comes_to_the_same_alert() -> None:
    flags: list[Flag] = []

    async def set_flag(flag: Flag) -> None:
        flags.append(flag)

    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1", Handlers(set_flag=set_flag))
        first = await at.attach(room, rooms, to_act("flag"))
        say_angry(room)
        alert = (await first.event("escalation"))["alert_id"]
        await until("the flag", lambda: flags)
        await first.kill()
        second = await at.attach(room, rooms, to_act("flag"))
        assert not (await second.event("attached"))["resumed"]
        assert (await second.event("escalation"))["alert_id"] == alert
        room.end("hangup")
        assert await second.exit() == 0
        assert [text for _, text in second.turns()] == list(ANGRY)
        assert len(flags) == 1, "a command that was carried out is answered again, and not done again"


@in_loop
async def test_the_sidecar_is_kept_alive_until_the_call_is_over() -> None:
    events: list[Event] = []
    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1")
        agent = str(at.agent(to_act("flag")))
        store = str(at.folder / "store.db")
        task = room.attach("--agent", agent, "--store", store, program=PROGRAM, event=events.append)
        await until("it to be there", lambda: events)
        room.turn(CALLER, ANGRY[0])
        await until("a rating", lambda: events[-1]["type"] == "turn")
        (child,) = children()
        child.kill()
        await until("another one", lambda: sum(event["type"] == "attached" for event in events) == 2)
        room.turn(CALLER, ANGRY[1])
        room.end("hangup")
        assert await soon("its end", wait(task)) == 0
        assert await room.closed()
        assert events[-1]["turns"] == 2


@in_loop
async def test_a_sidecar_that_cannot_work_is_not_started_again() -> None:
    async with Rooms() as rooms:
        room = rooms.open("room_1")
        assert await soon("its end", wait(room.attach("--agent", "/nowhere.json", program=PROGRAM))) == 6
        assert await soon("its end", wait(room.attach(program="/nowhere/sidecar"))) == 127


def test_a_sidecar_that_never_works_is_not_started_again_once_its_call_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sentiment_room.LINGER", 0.5)
    broken = tmp_path / "sidecar"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)

    @in_loop
    async def run() -> None:
        async with Rooms() as rooms:
            room = rooms.open("room_1")
            attached = room.attach(program=str(broken))
            room.end("hangup")
            assert await soon("its end", wait(attached)) == 1

    run()


@in_loop
async def test_a_cut_in_the_middle_loses_and_doubles_nothing() -> None:
    async with Rooms() as rooms, desk() as at, hook() as receiver, wire(rooms) as between:
        room = rooms.open("room_1")
        sidecar = await at.attach(room, rooms, receiver.settings(), between.url)
        await sidecar.event("attached")
        room.turn(CALLER, ANGRY[0])
        await sidecar.event("turn")
        between.cut()
        room.turn(CALLER, ANGRY[1])
        assert (await sidecar.event("attached"))["resumed"]
        await sidecar.event("turn")
        room.turn(CALLER, ANGRY[2])
        between.cut()
        escalation = await sidecar.event("escalation")
        room.end("hangup")
        between.cut()
        assert await sidecar.exit() == 0
        assert sidecar.turns() == list(zip(NAMES, ANGRY, strict=True))
        assert [alert for alert, _ in receiver.came] == [escalation["alert_id"]]


@in_loop
async def test_two_calls_side_by_side_do_not_meet() -> None:
    flags: dict[str, list[Flag]] = {"angry": [], "calm": []}

    def flagged(name: str) -> Handlers:
        async def set_flag(flag: Flag) -> None:
            flags[name].append(flag)

        return Handlers(set_flag=set_flag)

    async with Rooms() as rooms, desk() as at:
        both = {name: rooms.open(name, flagged(name)) for name in flags}
        sidecars = {name: await at.attach(room, rooms, to_act("flag")) for name, room in both.items()}
        for text in ANGRY:
            both["angry"].turn(CALLER, text)
            both["calm"].turn(CALLER, "That is great, thank you so much.")
        await sidecars["angry"].event("escalation")
        await until("the flag", lambda: flags["angry"])
        for name, room in both.items():
            room.end("hangup")
            assert await sidecars[name].exit() == 0
        assert not flags["calm"] and not sidecars["calm"].of("escalation")
        with pytest.raises(ValueError, match="going on"):
            rooms.open("third")
            rooms.open("third")


@in_loop
async def test_what_was_said_before_anybody_listened_is_heard_and_so_is_an_end() -> None:
    async with Rooms() as rooms, desk() as at:
        room = rooms.open("room_1")
        say_angry(room)
        room.end("hangup")
        assert not await room.closed(patience=0.01)
        sidecar = await at.attach(room, rooms, to_act("flag"))
        assert await sidecar.exit() == 0
        assert await room.closed()
        assert len(sidecar.of("turn")) == 3
        gone = await at.attach(room, rooms, to_act("flag"))
        assert await gone.exit() == 7, "a call that is over is not waited for"


@in_loop
async def test_an_app_that_finishes_waits_for_the_last_words_and_for_the_sidecar() -> None:
    async with desk() as at:
        rooms = Rooms()
        await rooms.start()
        room = rooms.open("room_1")
        events: list[Event] = []
        agent, store = str(at.agent(to_act("flag"))), str(at.folder / "store.db")
        sidecar = room.attach("--agent", agent, "--store", store, program=PROGRAM, event=events.append)
        await until("it to be there", lambda: events)
        finishing = asyncio.create_task(rooms.finish(patience=60))
        await asyncio.sleep(0.05)
        room.turn(CALLER, ANGRY[0])
        room.end("hangup")
        await finishing
        assert sidecar.result() == 0
        assert [event["text"] for event in events if event["type"] == "turn"] == [ANGRY[0]]
        # A call that does not end by itself is ended.
        rooms = Rooms()
        await rooms.start()
        lost = rooms.open("room_2")
        await rooms.finish(patience=0.1)
        assert lost.ended and not rooms._tasks


# A peer that does what we want.


@asynccontextmanager
async def peer(
    rooms: Rooms, hello: Any = None, name: str = "room_1", autoping: bool = True
) -> AsyncIterator[tuple[Event, aiohttp.ClientWebSocketResponse]]:
    """A connection after its welcome."""
    async with dialled(rooms, autoping) as socket:
        hello = {"type": "hello", "versions": [1], "about": {"name": "peer", "version": "1"}, "room_name": name} | (
            hello or {}
        )
        await socket.send_json(hello)
        yield await socket.receive_json(timeout=5), socket


@asynccontextmanager
async def dialled(rooms: Rooms, autoping: bool = True) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {rooms.token}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        async with client.ws_connect(rooms.url, protocols=(SUBPROTOCOL,), autoping=autoping) as socket:
            yield socket


def command(command_id: str, name: str, args: Event) -> Event:
    return {"type": "command", "command_id": command_id, "name": name, "args": args, "deadline_ms": 1000}


async def wait(task: asyncio.Task[int]) -> int:
    return await task


@in_loop
async def test_who_is_not_let_in_is_told_why() -> None:
    async with Rooms("right") as rooms, aiohttp.ClientSession() as client:
        rooms.open("room_1")
        for headers, protocols, status in (
            ({}, (SUBPROTOCOL,), 401),
            ({"Authorization": "Bearer wrong"}, (SUBPROTOCOL,), 401),
            ({"Authorization": "Bearer righ\u00e9"}, (SUBPROTOCOL,), 401),
            ({"Authorization": "Bearer right"}, ("another.protocol",), 400),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(rooms.url, headers=headers, protocols=protocols)
            assert refused.value.status == status
        for first in (
            '{"type":"ack","seq":1}',
            '{"type":"hello","versions":[2],"room_name":"room_1"}',
            '{"type":"hello","versions":[1],"room_name":"room_2"}',
            '{"type":"hello","versions":1}',
            "[" * 60_000,
        ):
            async with dialled(rooms) as socket:
                await socket.send_str(first)
                assert (await socket.receive(timeout=5)).data == 4400, first[:80]
    with pytest.raises(ValueError, match="empty token"):
        Rooms("")


@in_loop
async def test_frames_that_cannot_be_used_are_answered_and_too_large_ones_end_the_connection() -> None:
    async with Rooms() as rooms:
        rooms.open("room_1", Handlers(say=lambda text: asyncio.sleep(0)))
        async with peer(rooms) as (_, socket):
            bad = ('{"type":7}', '{"type":"ack","seq":true}', '{"type":"command"}', '{"type":"tone"}')
            for text in ("no json", "[]", *bad):
                await socket.send_str(text)
                assert (await socket.receive_json(timeout=5))["code"] == "bad_frame", text
            await socket.send_bytes(b"{}")
            assert (await socket.receive_json(timeout=5))["code"] == "bad_frame"
            await socket.send_json({"type": "something.new"})
            await socket.send_json(command("c1", "say", {"text": "Hello."}))
            assert [(await socket.receive_json(timeout=5))["status"] for _ in range(2)] == ["accepted", "done"]
            await socket.send_str(json.dumps({"type": "x" * MAX_FRAME}))
            assert (await socket.receive(timeout=5)).data == 1009


@in_loop
async def test_it_goes_on_where_the_sidecar_was_or_begins_anew() -> None:
    async with Rooms() as rooms:
        room = rooms.open("room_1")
        for text in ANGRY:
            room.turn(CALLER, text)
        for resume, first in (
            ({"session_id": room.session_id, "last_seq": 2}, 3),
            ({"session_id": room.session_id, "last_seq": 4}, 1),
            ({"session_id": "another", "last_seq": 2}, 1),
        ):
            async with peer(rooms, {"resume": resume}) as (welcome, socket):
                assert welcome["resumed"] is (first == 3)
                assert (await socket.receive_json(timeout=5))["seq"] == first


@in_loop
async def test_another_call_of_the_same_name_is_not_told_to_the_sidecar_of_the_one_before() -> None:
    async with Rooms() as rooms:
        before = rooms.open("room_1")
        for text in ANGRY:
            before.turn(CALLER, text)
        async with peer(rooms) as (_, socket):
            before.end("hangup")
            room = rooms.open("room_1")
            room.turn(CALLER, "Hello.")
            assert [(await socket.receive_json(timeout=5))["seq"] for _ in range(4)] == [1, 2, 3, 4]
            # It is cut, and comes back.
            await socket.close(code=4000)
        resume = {"session_id": before.session_id, "last_seq": 3}
        async with peer(rooms, {"resume": resume}) as (welcome, socket), peer(rooms) as (other, news):
            assert (welcome["session_id"], other["session_id"]) == (before.session_id, room.session_id)
            assert (await socket.receive_json(timeout=5))["type"] == "session.ended"
            await socket.send_json({"type": "ack", "seq": 4})
            assert (await socket.receive(timeout=5)).data == 1000
            assert (await news.receive_json(timeout=5))["text"] == "Hello."
        assert not rooms._before


@in_loop
async def test_a_second_connection_takes_over_and_the_first_is_told() -> None:
    async with Rooms() as rooms:
        room = rooms.open("room_1")
        async with peer(rooms) as (_, first), peer(rooms) as (_, second):
            assert (await first.receive(timeout=5)).data == 4409
            room.turn(CALLER, ANGRY[0])
            assert (await second.receive_json(timeout=5))["turn_id"] == "turn_1"


@in_loop
async def test_a_command_said_again_is_answered_again_and_not_done_again() -> None:
    said: list[str] = []
    go_on = asyncio.Event()

    async def say(text: str) -> None:
        said.append(text)
        await go_on.wait()

    async with Rooms() as rooms:
        rooms.open("room_1", Handlers(say=say))
        async with peer(rooms) as (_, socket):
            statuses = []
            for _ in range(2):
                await socket.send_json(command("c1", "say", {"text": "Hello."}))
                statuses.append((await socket.receive_json(timeout=5))["status"])
            go_on.set()
            statuses.append((await socket.receive_json(timeout=5))["status"])
            await socket.send_json(command("c1", "say", {"text": "Hello."}))
            statuses.append((await socket.receive_json(timeout=5))["status"])
            assert (statuses, said) == (["accepted", "accepted", "done", "done"], ["Hello."])


@in_loop
async def test_handlers_at_work_are_bounded_and_their_errors_are_results() -> None:
    async def say(text: str) -> None:
        if text:
            raise RuntimeError("no voice")
        await asyncio.Event().wait()

    async with Rooms() as rooms:
        rooms.open("room_1", Handlers(say=say))
        async with peer(rooms) as (_, socket):
            await socket.send_json(command("c", "say", {"text": "Hello."}))
            await socket.receive_json(timeout=5)
            failed = await socket.receive_json(timeout=5)
            assert (failed["status"], failed["detail"]) == ("failed", "RuntimeError")
            for n in range(65):
                await socket.send_json(command(f"c{n}", "say", {"text": ""}))
            results = [await socket.receive_json(timeout=5) for _ in range(65)]
            assert [result["status"] for result in results] == ["accepted"] * 64 + ["failed"]


@in_loop
async def test_a_handler_that_nobody_waits_for_keeps_no_command_from_its_own() -> None:
    said: list[str] = []

    async def sentiment(_: Any) -> None:
        await asyncio.Event().wait()

    async def say(text: str) -> None:
        said.append(text)

    async with Rooms() as rooms:
        rooms.open("room_1", Handlers(say=say, sentiment=sentiment))
        async with peer(rooms) as (_, socket):
            for n in range(100):
                await socket.send_json({"type": "sentiment", "turn_id": f"u{n}"})
            await socket.send_json(command("c1", "say", {"text": "Hello."}))
            statuses = [(await socket.receive_json(timeout=5))["status"] for _ in range(2)]
            assert (statuses, said) == (["accepted", "done"], ["Hello."])


@in_loop
async def test_a_sidecar_that_does_not_read_holds_up_nothing_and_gets_all_of_it_later() -> None:
    async with Rooms() as rooms:
        room = rooms.open("room_1")
        async with peer(rooms) as (_, socket):
            # Far more than the sockets hold; telling it takes no time, and reading begins after it.
            for n in range(2_000):
                room.turn(CALLER, "word " * 2_000, turn_id=f"u{n}")
            await asyncio.sleep(0)
            seqs = [(await socket.receive_json(timeout=5))["seq"] for _ in range(2_000)]
            assert seqs == list(range(1, 2_001))


def test_a_sidecar_that_answers_no_pings_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment_room.HEARTBEAT", 0.2)

    @in_loop
    async def run() -> None:
        async with Rooms() as rooms:
            rooms.open("room_1")
            async with peer(rooms, autoping=False) as (_, dead):
                assert rooms._links
                await until("it to be cut", lambda: not rooms._links)
                assert not dead.closed, "it noticed nothing"

    run()


@in_loop
async def test_what_does_not_fit_a_frame_is_cut_and_odd_text_is_made_whole() -> None:
    async with Rooms() as rooms:
        room = rooms.open("room_1")
        room.turn(CALLER, "é\x00" * MAX_FRAME)
        room.turn(CALLER, "half a \ud83d pair")
        room.turn(CALLER, "  ")
        room.turn(CALLER, "half a \ud83d pair", turn_id="turn_2")
        room.turn(CALLER, "a whole one", turn_id="turn_2")
        with pytest.raises(ValueError, match="no participant"):
            room.turn(Participant("stranger", "caller"), "Hello.")
        async with peer(rooms) as (_, socket):
            first = await socket.receive_str(timeout=5)
            assert MAX_FRAME // 2 < len(first.encode()) <= MAX_FRAME
            told = [await socket.receive_json(timeout=5) for _ in range(2)]
            assert [(one["turn_id"], one["text"]) for one in told] == [
                ("turn_2", "half a ? pair"),
                ("turn_2", "a whole one"),
            ]


def children() -> list[Any]:
    """The processes that this one has started and not yet waited for."""
    import os
    import signal
    from pathlib import Path

    class Child:
        def __init__(self, pid: int) -> None:
            self.pid = pid

        def kill(self) -> None:
            os.kill(self.pid, signal.SIGKILL)

    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [Child(int(pid)) for pid in pids]
