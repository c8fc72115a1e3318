"""A call of OpenAI's Realtime API, joined by the real sidecar. The vendor's own client is a peer of the same double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from realtime_api import APPS_TOOL, KEY, Api, api, spoken, tool_call
from support import ANGRY, TARGET, Desk, Event, Sidecar, desk, hook, in_loop, to_act, until

TOOL = "escalate_sentiment"


@asynccontextmanager
async def attached(at: Desk, of_call: Api, settings: Event) -> AsyncIterator[Sidecar]:
    sidecar = await at.join("openai", of_call.url, of_call.call_id, settings, KEY)
    await sidecar.event("attached")
    yield sidecar
    await of_call.hang_up()
    assert await sidecar.exit() == 0


async def angry(of_call: Api) -> None:
    for n, words in enumerate(ANGRY):
        await of_call.caller(f"item_{n}", words)


async def seen_so_far(of_call: Api) -> None:
    """Waits until the sidecar has read all that it was sent: it answers when its tool is gone."""
    of_call.session["tools"] = [APPS_TOOL]
    await of_call.send({"type": "session.updated", "session": of_call.session})
    await of_call.received("session.update")


@in_loop
async def test_the_vendors_client_takes_the_double_for_the_api() -> None:
    async with api() as of_call:
        client = AsyncOpenAI(api_key=KEY, base_url=f"{of_call.http}/v1")
        async with client.realtime.connect(call_id=of_call.call_id) as connection:
            created = await connection.recv()
            assert created.type == "session.created"
            await connection.response.create()
            assert (await connection.recv()).type == "response.created"
        await client.realtime.calls.refer(of_call.call_id, target_uri=f"tel:{TARGET}")
        assert of_call.referred[0]["target_uri"] == f"tel:{TARGET}"


@in_loop
async def test_turns_are_counted_in_the_order_of_the_conversation_whatever_comes_first() -> None:
    async with api() as of_call, desk() as at, hook() as receiver, attached(at, of_call, receiver.settings()) as sidecar:
        for n in range(3):
            await of_call.caller_speaks(f"item_{n}")
        # The first words come last: until then two angry turns stand behind one of which nothing is known.
        for n in (2, 1, 0):
            await of_call.transcribed(f"item_{n}", ANGRY[n])
        escalation = await sidecar.event("escalation")
        assert escalation["action"] == "notify"
        await sidecar.event("delivery")
        assert sorted(turn for turn, _ in sidecar.turns()) == ["item_0", "item_1", "item_2"]
        assert [alert for alert, _ in receiver.came] == [escalation["alert_id"]]


@in_loop
async def test_what_was_not_transcribed_is_unrated_and_neither_counts_nor_resets() -> None:
    async with api() as of_call, desk() as at, attached(at, of_call, to_act("flag")) as sidecar:
        await of_call.caller("item_0", ANGRY[0])
        await of_call.caller_speaks("item_x")
        await of_call.not_transcribed("item_x")
        await of_call.caller("item_1", ANGRY[1])
        await of_call.caller("item_2", ANGRY[2])
        await sidecar.event("escalation")
        assert [(event["turn_id"], event["error"]["reason"]) for event in sidecar.of("unrated")] == [("item_x", "unheard")]


@in_loop
async def test_what_a_cut_swallowed_is_asked_for_and_counted_once() -> None:
    async with api() as of_call, desk() as at, hook() as receiver, attached(at, of_call, receiver.settings()) as sidecar:
        await of_call.received("session.update")
        await of_call.caller("item_0", ANGRY[0])
        await of_call.caller_speaks("item_1")
        await seen_so_far(of_call)
        await of_call.cut()
        # Nobody hears these words, nor that there is another item.
        await of_call.transcribed("item_1", ANGRY[1])
        await of_call.caller("item_2", ANGRY[2])
        await of_call.joined.wait()
        await of_call.caller("item_3", "And now what?")
        await sidecar.event("escalation")
        await sidecar.event("delivery")
        assert len(receiver.came) == 1


@in_loop
async def test_what_is_said_again_after_a_reconnect_is_no_further_turn() -> None:
    async with api() as of_call, desk() as at, attached(at, of_call, to_act("flag")) as sidecar:
        await of_call.received("session.update")
        for n in (0, 1):
            await of_call.caller(f"item_{n}", ANGRY[n])
            await sidecar.event("turn")
        await of_call.cut()
        await of_call.joined.wait()
        for n in (0, 1):
            await of_call.added(f"item_{n}")
            await of_call.transcribed(f"item_{n}", ANGRY[n])
        await of_call.caller("item_2", ANGRY[2])
        assert (await sidecar.event("escalation"))["turn"] == 3
        assert [turn for turn, _ in sidecar.turns()] == ["item_0", "item_1", "item_2"]


@in_loop
async def test_our_tool_stands_beside_the_apps_and_only_whole_answers_call_it() -> None:
    async with api() as of_call, desk() as at, attached(at, of_call, to_act("flag")) as sidecar:
        await of_call.received("session.update")
        names = [tool["name"] for tool in of_call.session["tools"]]
        assert names == [APPS_TOOL["name"], TOOL]
        wish = {"reason": "the caller is angry"}
        await of_call.agent_begins()
        await of_call.agent_ends(tool_call("item_a", "call_a", TOOL, wish), status="cancelled")
        await of_call.agent_begins()
        await of_call.agent_ends(tool_call("item_b", "call_b", TOOL, wish))
        created = await of_call.received("conversation.item.create")
        assert (created["item"]["type"], created["item"]["call_id"]) == ("function_call_output", "call_b")
        await of_call.received("response.create")
        # An app that sets its tools anew takes ours away, and gets it back.
        await seen_so_far(of_call)
        await of_call.hang_up()
        assert await sidecar.exit() == 0
        assert len(sidecar.of("tool")) == 1


@in_loop
async def test_a_sentence_waits_for_the_answer_in_progress_and_a_transfer_goes_by_refer() -> None:
    async with api() as of_call, desk() as at, attached(at, of_call, to_act("transfer")) as sidecar:
        await of_call.agent_begins()
        await angry(of_call)
        await sidecar.event("escalation")
        await of_call.agent_ends(spoken("item_a", "I am sorry to hear that."))
        said = await of_call.received("response.create")
        assert "supervisor" in said["response"]["instructions"]
        of_call.heard.clear()
        said_to_the_end = asyncio.create_task(of_call.agent_ends(spoken("item_b", "One moment, please.")))
        await seen_so_far(of_call)
        assert not of_call.referred, "the sentence is still heard"
        of_call.heard.set()
        await said_to_the_end
        await until("the transfer to be asked for", lambda: of_call.referred)
        asked = of_call.referred[0]
        assert (asked["call"], asked["target_uri"]) == (of_call.call_id, f"tel:{TARGET}")


@in_loop
async def test_a_call_that_leaves_after_a_refer_is_unknown_and_somebody_is_told() -> None:
    async with api() as of_call, desk() as at, hook() as receiver:
        somebody: Event = {"sentimentNotifyWebhook": receiver.url, "sentimentWebhookAllow": ["127.0.0.1"]}
        settings = to_act("transfer", sentimentHandoverSentence="", **somebody)
        async with attached(at, of_call, settings) as sidecar:
            await angry(of_call)
            assert (await sidecar.event("transfer"))["progress"]["step"] == "accepted"
            await of_call.hang_up()
            outcome = await sidecar.event("outcome")
            assert (outcome["transfer"], outcome["fallback"]) == ({"outcome": "unknown"}, True)
            await sidecar.event("delivery")
        ((_, body),) = receiver.came
        assert body["description"].startswith("Transfer unclear. ")


@in_loop
async def test_a_refused_transfer_says_why() -> None:
    async with api() as of_call, desk() as at, attached(at, of_call, to_act("transfer")) as sidecar:
        of_call.refer_status = 400
        await angry(of_call)
        await of_call.received("response.create")
        await of_call.agent_ends(spoken("item_b", "One moment, please."))
        outcome = await sidecar.event("outcome")
        assert outcome["transfer"]["outcome"] == "rejected"
        assert outcome["transfer"]["code"] == "http_400"


@in_loop
async def test_the_agent_is_told_how_to_sound() -> None:
    async with api() as of_call, desk() as at, attached(at, of_call, to_act("flag")):
        await of_call.caller("item_0", ANGRY[0])
        created = await of_call.received("conversation.item.create")
        assert created["item"]["role"] == "system"


@in_loop
async def test_a_session_without_transcription_is_refused_in_plain_words(capfd: pytest.CaptureFixture[str]) -> None:
    async with api(transcribes=False) as of_call, desk() as at:
        sidecar = await at.join("openai", of_call.url, of_call.call_id, to_act("flag"), KEY)
        assert await sidecar.exit() == 7
        assert "audio.input.transcription" in capfd.readouterr().err


@in_loop
async def test_azures_form_takes_its_key_in_a_header_of_its_own() -> None:
    async with api(azure=True) as of_call, desk() as at, attached(at, of_call, to_act("transfer")) as sidecar:
        await angry(of_call)
        await of_call.received("response.create")
        await of_call.agent_ends(spoken("item_b", "One moment, please."))
        await until("the transfer to be asked for", lambda: of_call.referred)
        keys: dict[str, Any] = of_call.referred[0]["key"]
        assert keys["api-key"] == KEY and "Authorization" not in keys
        await sidecar.event("escalation")


@in_loop
async def test_a_wrong_key_is_final_and_never_shown(capfd: pytest.CaptureFixture[str]) -> None:
    async with api() as of_call, desk() as at:
        sidecar = await at.join("openai", of_call.url, of_call.call_id, to_act("flag"), "sk-wrong-one")
        assert await sidecar.exit() == 7
        assert "sk-wrong-one" not in capfd.readouterr().err
