"""A transfer by LiveKit's SIP service, with its real client against a double of the service on loopback."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from livekit.api import LiveKitAPI, TokenVerifier
from livekit.protocol.sip import TransferSIPParticipantRequest, TransferSIPParticipantResponse
from livekit_agents import by_sip
from sentiment_room import Transfer, TransferFailed
from support import TARGET, in_loop

KEY, TOKEN_SECRET = "key", "a secret of more than thirty-two characters"
WANTED = Transfer(TARGET, ringing_timeout_ms=20_000, deadline_ms=30_000)


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
