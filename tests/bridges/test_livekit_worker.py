"""Workers: the real program is given calls by a real LiveKit server, beside real agents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from livekit import api, rtc
from livekit.agents import AgentServer, JobContext, JobExecutorType
from livekit.protocol import models
from livekit_room import CALLER, KEY, SECRET, SIP, RoomCall, Server, Worker, free_port, join
from support import ANGRY, Event, going_on, hook, in_loop, soon, to_act, until
from test_livekit_connection import is_there, place

FLAG = to_act("flag", turnSilenceMs=200, sentimentRaterDeadlineMs=30_000)
SIDECAR = "sentiment-sidecar"


class Phone:
    """A caller whose app recognises its own speech."""

    def __init__(self, livekit: Server, room: str) -> None:
        self._livekit, self.name = livekit, room
        self._said = 0
        self.room: Any = None

    async def start(self) -> None:
        self.room = await join(self._livekit, self.name, CALLER, "sip", SIP)

    async def say(self, worker: Worker, *turns: str) -> None:
        """Says turns to a worker, each after the one before was rated."""
        for text in turns:
            self._said += 1
            final = {"lk.segment_id": f"SG_{self._said}", "lk.transcription_final": "true"}
            await self.room.local_participant.send_text(text, topic="lk.transcription", attributes=final)
            await worker.told("turn", room=self.name, turn=self._said)

    async def end(self) -> None:
        if self.room is not None:
            await self.room.disconnect()
            self.room = None


async def who_is_there(livekit: Server, room: str) -> list[str]:
    async with livekit.api() as server_api:
        listed = await server_api.room.list_participants(api.ListParticipantsRequest(room=room))
        return [who.identity for who in listed.participants if who.state == models.ParticipantInfo.ACTIVE]


async def metric(address: str, name: str) -> float:
    """What a worker says of itself at its address."""
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def becomes(address: str, name: str, value: float) -> None:
    while await metric(address, name) != value:
        await asyncio.sleep(0.02)


@in_loop
async def test_a_dispatched_call_is_worked_on_to_its_end(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), hook() as webhook, going_on(RoomCall(livekit, "room_1")) as call:
        worker = await livekit.worker(at, webhook.settings())
        await livekit.dispatch("room_1")
        attached = await worker.told("attached", room="room_1")
        for angry in ANGRY:
            await call.caller(angry)
        escalation = await worker.told("escalation", room="room_1")
        assert escalation["session"] == attached["session_id"], "every line has its room and session"
        await worker.told("delivery", room="room_1")
        assert [(turn["turn_id"], turn["text"]) for turn in worker.of("turn")] == call.items()
        await call.end()
        assert (await worker.told("ended", room="room_1"))["turns"] == 3
        assert len({alert for alert, _ in webhook.came}) == 1
        worker.drain()
        assert await worker.exit() == 0


@asynccontextmanager
async def voice_agent(livekit: Server) -> AsyncIterator[list[str]]:
    """A voice agent as most are: registered without a name, so that it is given every room. The rooms that it was given."""
    given: list[str] = []
    # What the framework asks for is a port on all addresses otherwise.
    parts: Event = {"host": "127.0.0.1", "port": 0, "job_executor_type": JobExecutorType.THREAD}
    agents = AgentServer(
        ws_url=livekit.url, api_key=KEY, api_secret=SECRET, load_fnc=lambda: 0.0, num_idle_processes=1, **parts
    )

    @agents.rtc_session()
    async def entry(ctx: JobContext) -> None:
        given.append(ctx.room.name or ctx.job.room.name)
        await ctx.connect()

    registered = asyncio.Event()
    agents.once("worker_registered", lambda *_: registered.set())
    running = asyncio.ensure_future(agents.run())
    try:
        await soon("the voice agent to register", registered.wait())
        yield given
    finally:
        await agents.aclose()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def both_are_there(livekit: Server, room: str) -> None:
    """Waits until a voice agent is with the caller, and nobody else."""
    while [who.partition("-")[0] for who in sorted(await who_is_there(livekit, room))] != ["agent", CALLER]:
        await asyncio.sleep(0.1)


@in_loop
async def test_jobs_of_a_voice_agent_stay_its_own(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), voice_agent(livekit) as given:
        worker = await livekit.worker(at, FLAG)
        async with going_on(Phone(livekit, "with")) as one, going_on(Phone(livekit, "without")):
            await until("the voice agent's jobs", lambda: sorted(given) == ["with", "without"])
            await livekit.dispatch("with")
            await worker.told("attached", room="with")
            await one.say(worker, *ANGRY)
            await worker.told("escalation", room="with")
            assert SIDECAR not in await who_is_there(livekit, "without")
            # No sidecar, and the voice agent as soon as it is there.
            await soon("the voice agent to be there", both_are_there(livekit, "without"))
        await worker.told("ended", room="with")
        assert sorted(given) == ["with", "without"], "each once"
        assert {event.get("room", "with") for event in worker.seen} == {"with"}


@in_loop
async def test_a_token_asks_for_voice_agent_and_sidecar(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), voice_agent(livekit) as given:
        worker = await livekit.worker(at, FLAG)
        wanted = [api.RoomAgentDispatch(agent_name=name) for name in ("", SIDECAR)]
        grants = api.VideoGrants(room_join=True, room="room_1")
        token = api.AccessToken(KEY, SECRET).with_identity(CALLER).with_grants(grants)
        jwt = token.with_room_config(api.RoomConfiguration(agents=wanted)).to_jwt()
        phone = rtc.Room()
        await soon("the caller to join", phone.connect(livekit.url, jwt))
        await worker.told("attached", room="room_1")
        await until("the voice agent's job", lambda: given == ["room_1"])
        await phone.disconnect()
        await worker.told("ended", room="room_1")


@in_loop
async def test_every_room_with_a_caller_gets_one_where_that_is_wanted(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), voice_agent(livekit) as given:
        worker = await livekit.worker(at, FLAG, "--every-room")
        async with going_on(Phone(livekit, "room_1")) as phone:
            await worker.told("worker", state="asked_for", room="room_1")
            await worker.told("attached", room="room_1")
            await phone.say(worker, *ANGRY)
            await worker.told("escalation", room="room_1")
        await worker.told("ended", room="room_1")
        await until("the voice agent's job", lambda: given == ["room_1"])


@in_loop
async def test_the_metadata_of_a_call_has_its_settings_and_never_its_target(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), AsyncExitStack() as calls:
        agents = tmp_path / "agents"
        agents.mkdir()
        (agents / "claims.json").write_text(json.dumps(FLAG | {"sentimentWindowTurns": 2}))
        address = f"127.0.0.1:{free_port()}"
        worker = await livekit.worker(at, FLAG, "--agents", str(agents), "--listen", address)
        metadata = {
            "usual": "",
            "one": json.dumps({"tenant": 7, "sentimentWindowTurns": 1}),
            "claims": json.dumps({"sentimentAgent": "claims"}),
            "outside": json.dumps({"sentimentAgent": "../claims"}),
            "target": json.dumps({"sentimentWindowTurns": 1, "sentimentEscalationTarget": "+14155559999"}),
            "none": "tenant 7",
            "off": json.dumps({"sentimentEscalationEnabled": False}),
        }
        for room, said in metadata.items():
            phone = await calls.enter_async_context(going_on(Phone(livekit, room)))
            await livekit.dispatch(room, said)
            if room == "off":
                await worker.told("disabled", room=room)
                continue
            await worker.told("attached", room=room)
            await phone.say(worker, *ANGRY)
        windows = {"usual": 3, "one": 1, "claims": 2, "outside": 3, "target": 3, "none": 3}
        for room, window in windows.items():
            assert (await worker.told("escalation", room=room))["turn"] == window, room
        warnings = {event["room"]: event["detail"] for event in worker.of("warning") if "metadata" in event["detail"]}
        assert set(warnings) == {"outside", "target", "none"}, "each is told, and its call goes on"
        told = len(worker.of("warning"))
        assert await metric(address, "sentiment_sidecar_warnings_total") >= told
        assert await metric(address, "sentiment_sidecar_call_settings_refused_total") == len(warnings)
        assert "sentimentEscalationTarget is not set here" in warnings["target"] and "4155559999" not in str(worker.seen)
        assert SIDECAR not in await who_is_there(livekit, "off")


@in_loop
async def test_who_is_full_takes_no_call_until_one_has_ended(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), AsyncExitStack() as calls:
        phones = [await calls.enter_async_context(going_on(Phone(livekit, f"room_{n}"))) for n in range(5)]
        worker = await livekit.worker(at, FLAG, "--max-calls", "4")
        for phone in phones[:4]:
            await livekit.dispatch(phone.name)
            await worker.told("attached", room=phone.name)
        await livekit.dispatch("room_4")
        # Longer than it may be that somebody is on the way: by now others would be asked.
        await asyncio.sleep(12)
        assert await who_is_there(livekit, "room_4") == [CALLER]
        await phones[0].end()
        await worker.told("ended", room="room_0")
        await worker.told("attached", room="room_4")


@in_loop
async def test_a_worker_drains_and_is_stopped(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Phone(livekit, "room_1")) as phone:
        address = f"127.0.0.1:{free_port()}"
        worker = await livekit.worker(at, FLAG, "--listen", address)
        await livekit.dispatch("room_1")
        await worker.told("attached", room="room_1")
        await soon("it to take calls", becomes(address, "sentiment_sidecar_worker_ready", 1))
        worker.drain()
        assert (await worker.told("worker", state="draining"))["calls"] == 1
        await soon("it to take no calls", becomes(address, "sentiment_sidecar_worker_ready", 0))
        other = await livekit.worker(at, FLAG)
        async with going_on(Phone(livekit, "room_2")):
            await livekit.dispatch("room_2")
            await other.told("attached", room="room_2")
            await phone.say(worker, *ANGRY)
            await worker.told("escalation", room="room_1")
        await phone.end()
        assert await worker.exit() == 0
        assert {event.get("room", "room_1") for event in worker.seen} == {"room_1"}
        # Twice: at once, and what is left is taken over.
        await phone.start()
        await livekit.dispatch("room_1")
        await other.told("attached", room="room_1")
        last = await livekit.worker(at, FLAG)
        other.drain()
        await other.told("worker", state="draining")
        other.drain()
        assert await other.exit() == 0
        await last.told("attached", room="room_1")


@in_loop
async def test_a_server_that_starts_again_gives_out_calls_again(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Phone(livekit, "room_1")) as phone:
        worker = await livekit.worker(at, FLAG)
        await livekit.dispatch("room_1")
        await worker.told("attached", room="room_1")
        # Whoever left before would have taken the room along.
        await livekit.kill()
        await phone.end()
        await livekit.restart()
        await worker.told("worker", state="lost")
        await phone.start()
        await soon("the sidecar to be back", is_there(livekit, "room_1"))
        await phone.say(worker, *ANGRY)
        await worker.told("escalation", room="room_1")
        await worker.told("worker", many=2, state="registered")
        async with going_on(Phone(livekit, "room_2")):
            await livekit.dispatch("room_2")
            await worker.told("attached", room="room_2")
