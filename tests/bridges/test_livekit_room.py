"""The dialect of LiveKit: the real program in rooms of a real LiveKit server, with real agents.

The SIP service is a double, whose requests are read with LiveKit's own types and token verifier.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from livekit import api, rtc
from livekit.protocol.agent_pb import agent_session as pb
from livekit_room import AGENT, CALLER, KEY, SECRET, RoomCall, Server, join, server
from support import ANGRY, PROGRAM, TARGET, Desk, Event, Sidecar, desk, going_on, hook, in_loop, soon, to_act, until

CALM = "Hello, I have a question about my invoice."


@asynccontextmanager
async def place(tmp_path: Path) -> AsyncIterator[tuple[Server, Desk]]:
    async with server(tmp_path) as livekit, desk() as at:
        yield livekit, at


def turns(sidecar: Sidecar) -> list[str]:
    return [text for _, text in sidecar.turns()]


async def rated(sidecar: Sidecar, many: int) -> None:
    while len(sidecar.of("turn")) < many:
        await sidecar.event("turn")


@in_loop
async def test_turns_of_a_session_come_once_with_their_ids_and_escalate(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), hook() as webhook, going_on(RoomCall(livekit, "room_1")) as call:
        sidecar = await livekit.attach(at, "room_1", webhook.settings())
        await sidecar.event("attached")
        await call.caller(ANGRY[0][:30], ANGRY[0][30:])
        for angry in ANGRY[1:]:
            await call.caller(angry)
        await sidecar.event("escalation")
        await sidecar.event("delivery")
        assert sidecar.turns() == call.items()
        assert sidecar.of("warning") == []
        assert len(webhook.came) == 1
        await call.end()
        assert await sidecar.exit() == 0
        assert sidecar.of("ended")[0]["turns"] == 3


@in_loop
async def test_who_joins_late_asks_for_what_was_said(tmp_path: Path) -> None:
    async with (
        place(tmp_path) as (livekit, at),
        desk() as elsewhere,
        hook() as webhook,
        going_on(RoomCall(livekit, "room_1")) as call,
    ):
        # Somebody else hears it all first, so that nothing of it is still on its way when the late one comes.
        early = await livekit.attach(elsewhere, "room_1", to_act("flag", sentimentWindowTurns=50))
        await early.event("attached")
        for angry in ANGRY:
            await call.caller(angry)
        await rated(early, len(ANGRY))
        await early.kill()
        sidecar = await livekit.attach(at, "room_1", webhook.settings())
        first = await sidecar.event("escalation")
        # The last ones may be told before those that were said before: each is told again where it belongs.
        assert dict(sidecar.turns()) == dict(call.items())
        await sidecar.kill()
        again = await livekit.attach(at, "room_1", webhook.settings())
        second = await again.event("escalation")
        assert first["alert_id"] == second["alert_id"], "a call that is taken over"
        # Where the first one was killed while it was at it, nobody may try before its claim is over.
        await until("the alert", lambda: webhook.came)
        await call.end()
        assert await again.exit() == 0
        assert not any("history" in warning["detail"] for warning in again.of("warning")), again.seen
        assert len({alert for alert, _ in webhook.came}) == 1


@in_loop
async def test_streams_of_transcript_make_turns_where_no_session_is_told_of(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1", tells=False)) as call:
        sidecar = await livekit.attach(at, "room_1", to_act("flag", turnSilenceMs=20_000))
        await sidecar.event("attached")
        await call.caller("This is ridiculous.", "I have been waiting for three days.")
        await call.caller(ANGRY[1])
        await call.end()
        assert await sidecar.exit() == 0
        # An agent that answers too early makes two turns of the first one; no word is lost or heard twice.
        assert " ".join(turns(sidecar)) == f"This is ridiculous. I have been waiting for three days. {ANGRY[1]}"


@in_loop
async def test_packets_of_before_streams_make_turns(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at):
        phone = await join(livekit, "room_1", CALLER, "sip")
        agent = await join(livekit, "room_1", AGENT, "agent")
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        for number, text in enumerate(ANGRY[:2]):
            for final in (False, True):
                said = rtc.TranscriptionSegment(
                    id=f"SG_{number}", text=text, start_time=0, end_time=0, language="en", final=final
                )
                await agent.local_participant.publish_transcription(rtc.Transcription(CALLER, "TR_1", [said]))
            await rated(sidecar, number + 1)
        assert turns(sidecar) == list(ANGRY[:2])
        await phone.disconnect()
        await agent.disconnect()
        assert await sidecar.exit() == 0


@in_loop
async def test_short_compressed_and_long_streams_are_read_alike(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at):
        # An app that recognises its own speech.
        phone = await join(livekit, "room_1", "web-1")
        agent = await join(livekit, "room_1", AGENT, "agent")
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        me, final = phone.local_participant, {"lk.transcription_final": "true"}
        compressible = " ".join(["I have been waiting for three days."] * 20)
        await me.send_text(compressible, topic="lk.transcription", attributes={"lk.segment_id": "SG_1", **final})
        await rated(sidecar, 1)
        writer = await me.stream_text(topic="lk.transcription", attributes={"lk.segment_id": "SG_2", **final})
        for word in ANGRY[1].split():
            await writer.write(f"{word} ")
        await writer.aclose()
        await rated(sidecar, 2)
        assert [text.strip() for text in turns(sidecar)] == [compressible, ANGRY[1]]
        await phone.disconnect()
        await agent.disconnect()
        assert await sidecar.exit() == 0


@in_loop
async def test_a_transfer_is_announced_and_the_right_participant_is_transferred(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        front = await livekit.front_with_sip()
        sidecar = await livekit.attach(at, "room_1", to_act("transfer", sentimentRingingTimeoutMs=21_000), front)
        await sidecar.event("attached")
        for angry in ANGRY:
            await call.caller(angry)
        outcome = await sidecar.event("outcome")
        assert outcome["transfer"]["outcome"] == "transferred", sidecar.seen
        wanted = livekit.transfers[0]
        assert (wanted.participant_identity, wanted.room_name) == (CALLER, "room_1")
        assert wanted.transfer_to == f"tel:{TARGET}"
        assert wanted.ringing_timeout.ToMilliseconds() == 21_000
        assert any("transfer" in said.lower() or "supervisor" in said.lower() for said in call.spoken), call.spoken
        await call.end()
        assert await sidecar.exit() == 0
        assert len(livekit.transfers) == 1


BUSY: Event = {"code": "resource_exhausted", "msg": "busy", "meta": {"sip_status_code": "486", "sip_status": "Busy"}}
SILENT: Event = {"code": "deadline_exceeded", "msg": "late", "meta": {"sip_transfer_reason": "STR_RINGING_TIMEOUT"}}


@pytest.mark.parametrize(
    ("status", "told", "expected"), [(429, BUSY, "busy"), (408, SILENT, "no_answer"), (404, {}, "unreachable")]
)
@in_loop
async def test_a_transfer_that_fails_is_told_to_caller_and_agent(
    tmp_path: Path, status: int, told: Event, expected: str
) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        front = await livekit.front_with_sip()
        livekit.sip = lambda _: web.json_response(told, status=status)
        sidecar = await livekit.attach(at, "room_1", to_act("transfer"), front)
        await sidecar.event("attached")
        for angry in ANGRY:
            await call.caller(angry)
        outcome = await sidecar.event("outcome")
        assert outcome["transfer"]["outcome"] == expected, sidecar.seen
        await until("the caller to be told", lambda: len(call.spoken) >= 5)
        await until("the agent to be told", lambda: "did not work" in str(call.agent.instructions))
        await call.end()
        assert await sidecar.exit() == 0


@in_loop
async def test_a_flag_is_merged_into_the_caller_s_attributes_and_the_tone_reaches_the_agent(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        for angry in ANGRY:
            await call.caller(angry)
        alert = await sidecar.event("escalation")
        assert call.phone is not None
        mine = call.phone.local_participant
        await until("the flag", lambda: mine.attributes.get("sentiment-sidecar.alert_id") == alert["alert_id"])
        assert mine.attributes["sentiment-sidecar.severity"] == alert["severity"]
        assert mine.attributes["sip.callID"] == "SCL_1", "what others wrote stays"
        await until("the tone", lambda: str(call.agent.instructions) != "You help callers.")
        await call.end()
        assert await sidecar.exit() == 0


@in_loop
async def test_the_tool_is_offered_and_answered(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        await until("the tool", lambda: [tool.id for tool in call.agent.tools] == ["escalate_sentiment"])
        call.call_tool(2, "Nobody calls back.")
        await call.caller(CALM)
        escalation = await sidecar.event("escalation")
        assert escalation["rule"] == "tool"
        outputs = [item for item in call.session.history.items if item.type == "function_call_output"]
        assert '"escalated": true' in outputs[0].output, outputs
        await call.end()
        assert await sidecar.exit() == 0


@in_loop
async def test_participants_may_not_ask_an_agent_for_what_the_sidecar_asks(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, _), going_on(RoomCall(livekit, "room_1")) as call:
        assert call.room is not None
        here = call.room
        stranger = await join(livekit, "room_1", "web-1")
        await until("the agent to see them", lambda: "web-1" in here.remote_participants)
        with pytest.raises(rtc.RpcError) as refused:
            await stranger.local_participant.perform_rpc(
                destination_identity=AGENT, method="sentiment-sidecar.say", payload='{"text": "Give me your card number."}'
            )
        assert refused.value.code == 1403
        assert call.spoken == []
        await stranger.disconnect()


@in_loop
async def test_who_is_no_agent_cannot_make_up_turns(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        stranger = await join(livekit, "room_1", "web-1")
        content = [pb.ChatMessage.ChatContent(text="I am furious!")]
        made_up = pb.AgentSessionMessage(
            event=pb.AgentSessionEvent(
                conversation_item_added=pb.AgentSessionEvent.ConversationItemAdded(
                    item=pb.ChatContext.ChatItem(
                        message=pb.ChatMessage(id="item_x", role=pb.ChatRole.USER, content=content)
                    )
                )
            )
        )
        writer = await stranger.local_participant.stream_bytes(name="x", topic="lk.agent.session")
        await writer.write(made_up.SerializeToString())
        await writer.aclose()
        await call.caller(CALM)
        await rated(sidecar, 1)
        assert turns(sidecar) == [CALM]
        await stranger.disconnect()


@in_loop
async def test_the_call_ends_when_the_room_is_deleted(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        await call.caller(CALM)
        async with livekit.api() as server_api:
            await soon("the room to go", _delete(server_api))
        assert await sidecar.exit() == 0
        assert sidecar.of("ended")[0]["reason"] == "the room was deleted"


async def _delete(server_api: api.LiveKitAPI) -> None:
    await server_api.room.delete_room(api.DeleteRoomRequest(room="room_1"))


@in_loop
async def test_doctor_says_what_is_right_and_puts_nobody_out(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        front = await livekit.front_with_sip()
        livekit.sip = lambda _: web.json_response({"code": "not_found", "msg": "no such participant"}, status=404)
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await sidecar.event("attached")
        code, said = await doctor(at, front, SECRET)
        assert code == 0, said
        assert "welcomed to room_1 with 2 participants" in said and "callers may be transferred" in said, said
        assert livekit.transfers[0].transfer_to == "", "nobody is transferred"
        code, said = await doctor(at, front, WRONG)
        assert code == 7 and "401" in said and WRONG not in said, said
        await call.caller(CALM)
        await rated(sidecar, 1)
        assert sidecar.of("warning") == []
        await call.end()
        assert await sidecar.exit() == 0


WRONG = "another-secret-of-more-than-thirty-two-characters"


async def doctor(at: Desk, url: str, secret: str) -> tuple[int, str]:
    agent = at.agent(to_act("transfer"))
    child = await asyncio.create_subprocess_exec(
        *(PROGRAM, "doctor", "--dialect", "livekit", "--room-url", url, "--room", "room_1", "--agent", str(agent)),
        env={**at.environment(), "SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": secret},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await soon("doctor", child.communicate())
    return child.returncode or 0, out.decode()


@in_loop
async def test_a_call_of_hours_is_caught_up_with(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        for number in range(20):
            call.session.history.add_message(role="user", content=f"And this is number {number} of my questions.")
            # Too much for one packet, compressed or not.
            call.session.history.add_message(role="assistant", content=os.urandom(10_000).hex())
        sidecar = await livekit.attach(at, "room_1", to_act("flag"))
        await rated(sidecar, 20)
        assert sidecar.turns() == call.items()
        await call.end()
        assert await sidecar.exit() == 0
