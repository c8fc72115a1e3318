"""What LiveKit alone has: ids of its items, agents that hand over to one another, and a SIP service of its own.

The SIP service is a double on loopback, asked by LiveKit's real client.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import livekit_agents
import pytest
from aiohttp import ClientSession, TCPConnector, web
from livekit.agents import Agent, StopResponse, UserInputTranscribedEvent, llm
from livekit.api import LiveKitAPI, TokenVerifier
from livekit.protocol.sip import TransferSIPParticipantRequest, TransferSIPParticipantResponse
from livekit_agents import MAX_HEARD, _Heard, _Outfit, _words, by_sip
from livekit_app import LiveKitApp
from sentiment_room import Handlers, Rooms, Tool, Transfer, TransferFailed
from support import TARGET, going_on, in_loop, own_port, soon, until

KEY, TOKEN_SECRET = "key", "a secret of more than thirty-two characters"
WANTED = Transfer(TARGET, ringing_timeout_ms=20_000, deadline_ms=30_000)


@in_loop
async def test_turns_have_the_ids_of_the_items() -> None:
    async with Rooms() as rooms, going_on(LiveKitApp(rooms, "room_1", None, None)) as app:
        await app.caller("Hello.")
        items = [item.id for item in app.session.history.items if item.type == "message"]
        told = [json.loads(frame) for frame in app.room._said]
        assert [turn["turn_id"] for turn in told if turn["type"] == "turn.ended"] == items
        assert all(turn["end_ms"] >= turn["start_ms"] for turn in told if turn["type"] == "turn.ended")


class Choosy(Agent):
    """An agent that makes no item of what it hears while it does not listen."""

    def __init__(self) -> None:
        super().__init__(instructions="You help callers.")
        self.listens = True
        self.heard: list[str | None] = []

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        self.heard.append(new_message.text_content)
        if not self.listens:
            raise StopResponse


@in_loop
async def test_what_an_agent_makes_no_item_of_is_told_all_the_same() -> None:
    async with Rooms() as rooms:
        app, choosy = LiveKitApp(rooms, "room_1", None, None), Choosy()
        app.agent = choosy

        async def unanswered(*finals: str) -> None:
            choosy.listens, before = False, len(choosy.heard)
            app._ears.hear(*finals)
            await until("the agent to hear it", lambda: len(choosy.heard) > before)
            choosy.listens = True

        await app.start()
        await unanswered("This is", "ridiculous.")
        await app.caller("Nobody", "cares.")
        await app.caller("Hello?")
        await unanswered("I want a human.")
        # What is typed was never heard, and is told by itself.
        await app.session.generate_reply(user_input="My number is 555.")
        await app.caller("Now.")
        await unanswered("Not a machine.")
        await app.end()
        told = [json.loads(frame) for frame in app.room._said]
        words = [turn["text"] for turn in told if turn.get("participant_id") == "caller"]
        turns = ["This is ridiculous. Nobody cares.", "Hello?", "My number is 555.", "I want a human. Now.", "Not a machine."]
        assert words == turns
        assert told[-1]["type"] == "session.ended"


@in_loop
async def test_what_was_heard_last_is_told_also_where_the_app_ends_its_rooms_before_the_session() -> None:
    rooms = Rooms()
    app = LiveKitApp(rooms, "room_1", None, None)
    await app.start()
    final = UserInputTranscribedEvent(transcript="I want a human.", is_final=True)
    app.session.emit("user_input_transcribed", final)
    await rooms.finish(patience=0.1)
    await app.end()
    told = [json.loads(frame) for frame in app.room._said]
    assert [(event["type"], event.get("text")) for event in told] == [
        ("turn.ended", "I want a human."),
        ("session.ended", None),
    ]


def heard_of(*finals: str) -> _Heard:
    heard = _Heard()
    for final in finals:
        heard.final(final)
    return heard


def spoken(text: str, **fields: Any) -> llm.ChatMessage:
    return llm.ChatMessage(role="user", content=[text], transcript_confidence=1.0, **fields)


def test_what_an_agent_says_in_other_words_is_not_told_twice() -> None:
    heard = heard_of("five five five", "is my number", "hello")
    assert heard.whole(spoken("555 is my number")) == "555 is my number"
    assert heard.rest() == ""


def test_an_item_that_nobody_spoke_leaves_what_was_heard() -> None:
    heard = heard_of("This is", "ridiculous.")
    typed = llm.ChatMessage(role="user", content=["This is"])
    assert heard.whole(typed) == "This is"
    picture = llm.ChatMessage(role="user", content=[llm.ImageContent(image="https://localhost/a.png")])
    assert heard.whole(picture) == ""
    assert heard.whole(spoken("")) == ""
    assert heard.rest() == "This is ridiculous."


def test_an_item_is_the_first_and_shortest_run_of_what_was_heard() -> None:
    heard = heard_of("No.", "no", "…", "No, no!", "yes")
    assert heard.whole(spoken("No no.")) == "No no."
    assert heard.whole(spoken("yes")) == "No, no! yes"
    assert heard.rest() == ""


def test_an_item_that_is_told_again_keeps_its_beginning() -> None:
    heard = heard_of("This is ridiculous.", "Nobody")
    assert heard.whole(spoken("Nobody", id="item_1")) == "This is ridiculous. Nobody"
    heard.final("Nobody cares.")
    assert heard.whole(spoken("Nobody cares.", id="item_1")) == "This is ridiculous. Nobody cares."
    heard.final("Hello?")
    assert heard.whole(spoken("Hello?", id="item_2")) == "Hello?"
    for item in range(2 * MAX_HEARD):
        heard.final("Well.")
        heard.final("So?")
        heard.whole(spoken("So?", id=f"more_{item}"))
    assert len(heard._before) == MAX_HEARD


def test_what_was_heard_is_bounded_and_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def words(text: str) -> list[str]:
        looked.append(text)
        return _words(text)

    monkeypatch.setattr(livekit_agents, "_words", words)
    said = [f"no {count}" for count in range(MAX_HEARD + 3)]
    # The newest stay: the next item is made of them.
    assert heard_of(*said).rest() == " ".join(said[3:])
    heard = heard_of(*said)
    assert heard.whole(spoken(" ".join(said[-2:]))) == " ".join(said[3:])
    assert len(looked) == 2 * len(said) + 1


@in_loop
async def test_whoever_is_on_the_call_has_the_tone_and_the_tools() -> None:
    tool = Tool("escalate_sentiment", "Call this.", {"type": "object", "properties": {}})
    async with Rooms() as rooms:
        app = LiveKitApp(rooms, "room_1", None, None)
        handlers: Handlers = app.room._handlers
        assert handlers.tools is not None and handlers.tone is not None
        # Before there is an agent the tools wait for one.
        await handlers.tools([tool])
        await app.start()
        await until("the tool", lambda: [tool.id for tool in app.agent.tools] == ["escalate_sentiment"])
        await handlers.tone("Be brief.", "negative")
        assert app.agent.instructions == "You help callers.\n\nBe brief."
        # What its author says meanwhile stays.
        await app.agent.update_instructions("You help callers with invoices.")
        await handlers.tone("Be warm.", "neutral")
        assert app.agent.instructions == "You help callers with invoices.\n\nBe warm."
        another = Agent(instructions="You collect debts.")
        app.session.update_agent(another)
        await until("the tone", lambda: another.instructions == "You collect debts.\n\nBe warm.")
        await until("the tool", lambda: [tool.id for tool in another.tools] == ["escalate_sentiment"])
        await app.end()


@in_loop
async def test_say_returns_when_the_sentence_was_heard_and_fails_when_it_cannot_be_said() -> None:
    async with Rooms() as rooms:
        app = LiveKitApp(rooms, "room_1", None, None)
        say = app.room._handlers.say
        assert say is not None
        with pytest.raises(RuntimeError):
            await say("Before the call.")
        await app.start()
        app.speaker.held = True
        saying = asyncio.ensure_future(say("A supervisor is coming."))
        await until("the sentence", lambda: app.speaker.playing)
        await asyncio.sleep(0.05)
        assert not saying.done()
        app.speaker.release()
        await soon("its end", wait(saying))
        await app.end()


async def wait(future: asyncio.Future[object]) -> object:
    return await future


class Service:
    """Answers what it is told to, to those who may ask, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[TransferSIPParticipantRequest] = []
        self.answer = web.Response()

    async def transfer(self, request: web.Request) -> web.Response:
        claims = TokenVerifier(KEY, TOKEN_SECRET).verify(request.headers["Authorization"].removeprefix("Bearer "))
        assert claims.video is not None and claims.video.room == "room_1"
        assert claims.sip is not None and claims.sip.call
        self.asked.append(TransferSIPParticipantRequest.FromString(await request.read()))
        return self.answer


def said(**fields: Any) -> web.Response:
    response = TransferSIPParticipantResponse(**fields)
    return web.Response(body=response.SerializeToString(), content_type="application/protobuf")


def refused(status: int, code: str, **meta: str) -> web.Response:
    return web.json_response({"code": code, "msg": "…", "meta": meta}, status=status)


@in_loop
async def test_a_transfer_by_sip_says_what_came_of_it() -> None:
    service, app = Service(), web.Application()
    app.router.add_post("/twirp/livekit.SIP/TransferSIPParticipant", service.transfer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with LiveKitAPI(url, KEY, TOKEN_SECRET, failover=False) as api:
        transfer = by_sip(api, "room_1", "sip_caller")
        for answer in (said(), said(transfer_id="t", status="STS_TRANSFER_SUCCESSFUL", reason="STR_COMPLETED")):
            service.answer = answer
            await transfer(WANTED)
        asked = service.asked[0]
        assert (asked.participant_identity, asked.transfer_to) == ("sip_caller", f"tel:{TARGET}")
        assert asked.ringing_timeout.seconds == 20
        for answer, outcome in (
            (said(transfer_id="t", status="STS_TRANSFER_FAILED", reason="STR_RINGING_TIMEOUT"), "no_answer"),
            (said(transfer_id="t", status="STS_TRANSFER_FAILED", reason="STR_CALL_ENDED"), "caller_gone"),
            (said(transfer_id="t", status="STS_TRANSFER_ONGOING"), "unknown"),
            (refused(503, "unavailable", sip_status_code="486", sip_status="Busy Here"), "busy"),
            (refused(503, "unavailable", sip_status_code="603", sip_transfer_reason="STR_REJECTED"), "declined"),
            (refused(503, "unavailable", sip_status_code="404"), "404"),
            (refused(503, "unavailable", sip_status_code="200"), "unknown"),
            (refused(401, "unauthenticated"), "unreachable"),
            (refused(404, "not_found"), "unreachable"),
            (refused(408, "deadline_exceeded"), "unknown"),
            (refused(500, "internal"), "unknown"),
        ):
            service.answer = answer
            with pytest.raises(TransferFailed) as failed:
                await transfer(WANTED)
            assert failed.value.code == outcome
    await runner.cleanup()


@in_loop
async def test_a_transfer_is_asked_for_once_also_where_the_client_would_ask_another_region() -> None:
    service, app = Service(), web.Application()
    app.router.add_post("/twirp/livekit.SIP/TransferSIPParticipant", service.transfer)

    async def regions(_: web.Request) -> web.Response:
        return web.json_response({"regions": [{"region": "b", "url": f"http://localhost:{port}", "distance": "1"}]})

    app.router.add_get("/settings/regions", regions)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with LiveKitAPI(f"http://127.0.0.1:{port}", KEY, TOKEN_SECRET) as api:
        # As for a host of LiveKit Cloud.
        api.sip._client._failover_force = True
        transfer = by_sip(api, "room_1", "sip_caller")
        service.answer = refused(503, "unavailable", sip_status_code="486", sip_status="Busy Here")
        with pytest.raises(TransferFailed) as failed:
            await transfer(WANTED)
        assert (failed.value.code, len(service.asked)) == ("busy", 1), "a phone that was busy is not called again"
        assert api.sip._client._failover, "what the app asks for is its own"
    await runner.cleanup()
    async with LiveKitAPI(f"http://127.0.0.1:{own_port()}", KEY, TOKEN_SECRET) as api:
        with pytest.raises(TransferFailed) as failed:
            await by_sip(api, "room_1", "sip_caller")(WANTED)
        assert failed.value.code == "unreachable", "nobody was called"
    async with ClientSession(connector=Deaf()) as deaf:
        with pytest.raises(TransferFailed) as failed:
            await by_sip(LiveKitAPI(f"http://127.0.0.1:{port}", KEY, TOKEN_SECRET, session=deaf), "room_1", "sip")(WANTED)
        assert failed.value.code == "unreachable", "nobody was called here either"


class Deaf(TCPConnector):
    """Knocks in vain, until it has no more time to."""

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        raise TimeoutError


class Slow:
    """An agent that takes its time to be told something, as one with a realtime model does."""

    def __init__(self) -> None:
        self.instructions = "You help callers."
        self.go_on = asyncio.Event()
        self.tools: list[object] = []

    async def update_instructions(self, instructions: str) -> None:
        self.instructions = instructions
        await self.go_on.wait()


@in_loop
async def test_a_tone_that_comes_while_another_one_is_told_takes_its_place() -> None:
    agent = Slow()
    session: Any = SimpleNamespace(current_agent=agent)
    outfit = _Outfit(session)
    telling = [asyncio.ensure_future(outfit.change(instruction=tone)) for tone in ("Be brief.", "Be warm.")]
    await asyncio.sleep(0)
    agent.go_on.set()
    await asyncio.gather(*telling)
    assert agent.instructions == "You help callers.\n\nBe warm."
