"""A real LiveKit server on loopback, a double of its SIP service in front of it, and calls in its rooms: a caller and a real
agent, whose ears, model and voice are scripted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import livekit_agents as bridge
from aiohttp import web
from livekit import api, rtc
from livekit.agents import Agent, AgentSession, llm
from livekit.protocol.sip import TransferSIPParticipantRequest
from livekit_app import Ears, Line, Model, Speaker, Voice
from support import PATIENCE, Desk, Event, Sidecar, soon, until

SERVER = os.environ.get("LIVEKIT_SERVER", "target/livekit/server")
KEY, SECRET = "APItest", "a-secret-of-more-than-thirty-two-characters"
CALLER, AGENT = "sip_caller", "agent-1"
SIP = {"sip.ruleID": "SDR_1", "sip.callID": "SCL_1", "sip.phoneNumber": "+15550111", "sip.callStatus": "active"}


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A LiveKit server, and in front of it a SIP service: its `sip` answers each transfer."""

    def __init__(self, folder: Path, **rtc_settings: Any) -> None:
        self._rtc_settings = rtc_settings
        self._choose_ports()
        self.front = 0
        self.log = folder / "livekit.log"
        self.transfers: list[TransferSIPParticipantRequest] = []
        self.sip: Callable[[TransferSIPParticipantRequest], web.Response] = lambda _: web.Response()
        self._config = folder / "livekit.json"
        self._child: asyncio.subprocess.Process | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def _choose_ports(self) -> None:
        self.port, self.rtc, self.udp = free_port(), free_port(), free_port(socket.SOCK_DGRAM)

    async def start(self) -> None:
        # Whoever else looks for a free port may take ours before the server does.
        for _ in range(5):
            if await self._begin():
                return
            self._choose_ports()
        raise AssertionError(self.log.read_text())

    async def _begin(self) -> bool:
        stun = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        lo: Event = {"interfaces": {"includes": ["lo"]}, "ips": {"includes": ["127.0.0.1/32"]}}
        address: Event = {"use_external_ip": False, "node_ip": "127.0.0.1", "enable_loopback_candidate": True}
        ports: Event = {"udp_port": self.udp, "tcp_port": self.rtc, "stun_servers": [stun]}
        config: Event = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "rtc": {**lo, **address, **ports, **self._rtc_settings},
            "keys": {KEY: SECRET},
            "room": {"empty_timeout": 60, "departure_timeout": 1},
        }
        self._config.write_text(json.dumps(config))
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *(SERVER, "--config", str(self._config)), stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
            )
        async with aiohttp.ClientSession() as http:

            async def answers() -> bool:
                while True:
                    if self._child is None or self._child.returncode is not None:
                        return False
                    with suppress(aiohttp.ClientError):
                        async with http.get(f"http://127.0.0.1:{self.port}") as answer:
                            if answer.status == 200:
                                return True
                    await asyncio.sleep(0.02)

            return await soon("the LiveKit server", answers())

    async def restart(self) -> None:
        """Starts the server again at the same place: it knows nothing of before."""
        await self.kill()
        assert await self._begin(), self.log.read_text()

    async def kill(self) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()

    async def stop(self) -> None:
        await self.kill()
        if self._runner is not None:
            await self._runner.cleanup()

    async def front_with_sip(self, *, older: bool = False) -> str:
        """What stands before the server, and answers for the SIP service that it does not have here. An `older` one does not
        know of joining over one connection."""
        app = web.Application()
        if older:
            app.router.add_get("/rtc/v1", lambda _: _not_found())
        app.router.add_post("/twirp/livekit.SIP/TransferSIPParticipant", self._transfer)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _transfer(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = api.TokenVerifier(KEY, SECRET).verify(token)
        assert claims.sip is not None and claims.sip.call, claims
        wanted = TransferSIPParticipantRequest()
        wanted.ParseFromString(await request.read())
        self.transfers.append(wanted)
        return self.sip(wanted)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        url = f"http://127.0.0.1:{self.port}{request.raw_path}"
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        async with aiohttp.ClientSession() as http:
            if request.headers.get("Upgrade", "").lower() != "websocket":
                body = await request.read()
                async with http.request(request.method, url, headers=headers, data=body) as answer:
                    kind = answer.headers.get("Content-Type", "application/json")
                    return web.Response(
                        status=answer.status, body=await answer.read(), headers={"Content-Type": kind}
                    )
            try:
                there = await http.ws_connect(url, headers=headers, max_msg_size=0)
            except aiohttp.WSServerHandshakeError as error:
                return web.Response(status=error.status)
            here = web.WebSocketResponse(max_msg_size=0)
            await here.prepare(request)
            pours = [asyncio.ensure_future(_pour(here, there)), asyncio.ensure_future(_pour(there, here))]
            await asyncio.wait(pours, return_when=asyncio.FIRST_COMPLETED)
            for pour in pours:
                pour.cancel()
            await asyncio.gather(there.close(), here.close(), return_exceptions=True)
            return here

    def token(self, room: str, identity: str, kind: Any, attributes: dict[str, str] | None = None) -> str:
        grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
        token = api.AccessToken(KEY, SECRET).with_identity(identity).with_kind(kind).with_grants(grants)
        return token.with_attributes(attributes or {}).to_jwt()

    def api(self) -> api.LiveKitAPI:
        return api.LiveKitAPI(self.url, KEY, SECRET)

    async def attach(self, at: Desk, room: str, settings: Event, url: str | None = None) -> Sidecar:
        arguments = ("--dialect", "livekit", "--room-url", url or self.url, "--room", room)
        return await at.run(
            "attach",
            *(*arguments, "--agent", str(at.agent(settings))),
            env={"SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": SECRET},
        )

    async def worker(self, at: Desk, settings: Event, *more: str, url: str | None = None) -> Worker:
        """A worker of this server; it is registered."""
        sidecar = await at.run(
            "worker",
            *("--dialect", "livekit", "--room-url", url or self.url, "--agent", str(at.agent(settings)), *more),
            env={"SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": SECRET},
        )
        worker = Worker(sidecar)
        await worker.told("worker", state="registered")
        return worker

    async def dispatch(self, room: str, metadata: str = "", name: str = "sentiment-sidecar") -> None:
        """Asks for an agent in a room."""
        async with self.api() as server_api:
            request = api.CreateAgentDispatchRequest(agent_name=name, room=room, metadata=metadata)
            await server_api.agent_dispatch.create_dispatch(request)


class Worker:
    """A worker, and all that it told so far: it is listened to all the time."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.child = sidecar.child
        self.seen: list[Event] = []
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            self.seen.append(json.loads(line))

    def of(self, kind: str, **fields: Any) -> list[Event]:
        """What it told of a type, with these fields."""
        wanted = {"type": kind, **fields}
        return [event for event in self.seen if all(event.get(name) == value for name, value in wanted.items())]

    async def told(self, kind: str, many: int = 1, **fields: Any) -> Event:
        """The first of so many events of a type with these fields, told already or still to come."""
        what = f"{many} of {kind} {fields}"

        def there() -> bool:
            if self._listening.done() and len(self.of(kind, **fields)) < many:
                raise AssertionError(f"no more events; wanted {what}; saw {self.seen}")
            return len(self.of(kind, **fields)) >= many

        await until(what, there)
        return self.of(kind, **fields)[0]

    def drain(self) -> None:
        self.child.send_signal(signal.SIGTERM)

    async def exit(self) -> int:
        await until("the worker's last words", self._listening.done)
        return await soon("the worker to end", self.child.wait())

    async def kill(self) -> None:
        self.child.kill()
        await self.exit()


async def _not_found() -> web.Response:
    return web.Response(status=404)


async def _pour(here: Any, there: Any) -> None:
    async for message in here:
        if message.type == aiohttp.WSMsgType.BINARY:
            await there.send_bytes(message.data)
        elif message.type == aiohttp.WSMsgType.TEXT:
            await there.send_str(message.data)


@asynccontextmanager
async def server(folder: Path, **rtc_settings: Any) -> AsyncIterator[Server]:
    livekit = Server(folder, **rtc_settings)
    try:
        await livekit.start()
        yield livekit
    finally:
        await livekit.stop()


async def join(
    livekit: Server, room: str, identity: str, kind: Any = "standard", attributes: dict[str, str] | None = None
) -> rtc.Room:
    """Someone in a room."""
    joined = rtc.Room()
    token = livekit.token(room, identity, kind, attributes)
    await soon(f"{identity} to join", joined.connect(livekit.url, token, rtc.RoomOptions(auto_subscribe=False)))
    return joined


class RoomCall:
    """A call in a LiveKit room: a caller by phone and a real agent. `tells` says whether the agent tells of its session."""

    def __init__(self, livekit: Server, name: str, *, tells: bool = True, obeys: bool = True) -> None:
        self.livekit, self.name = livekit, name
        self._tells, self._obeys = tells, obeys
        self._ears, self._model, self._voice = Ears(), Model(), Voice()
        self.line, self.speaker = Line(), Speaker()
        turns: Event = {
            "turn_detection": "stt",
            "endpointing": {"min_delay": 0.0, "max_delay": 0.2},
            "interruption": {"min_duration": 0.0},
        }
        parts: Event = {"stt": self._ears, "llm": self._model, "tts": self._voice, "vad": None}
        rest: Event = {"turn_handling": turns, "aec_warmup_duration": None, "session_close_transcript_timeout": 0.1}
        self.session: AgentSession[Any] = AgentSession(**parts, **rest)
        self.session.input.audio, self.session.output.audio = self.line, self.speaker
        self.agent = Agent(instructions="You help callers.")
        self.phone: rtc.Room | None = None
        self.room: rtc.Room | None = None

    @property
    def spoken(self) -> list[str]:
        return self._voice.said

    def items(self, role: str = "user") -> list[tuple[str, str]]:
        history = self.session.history.items
        return [(i.id, i.text_content or "") for i in history if isinstance(i, llm.ChatMessage) and i.role == role]

    async def start(self) -> None:
        self.phone = await join(self.livekit, self.name, CALLER, "sip", SIP)
        self.room = await join(self.livekit, self.name, AGENT, "agent")
        if self._obeys:
            await bridge.obey(self.room, self.session)
        await self.session.start(agent=self.agent, room=self.room, record=False, session_host=self._tells)

    async def caller(self, *finals: str) -> None:
        """A turn of the caller, and the agent's answer."""
        before = len(self.items("assistant"))
        self._ears.hear(*finals)
        await until("the agent's answer", lambda: len(self.items("assistant")) > before)

    def call_tool(self, score: int, description: str) -> None:
        arguments = json.dumps({"sentiment_score": score, "description": description})
        self._model.calls.append(
            llm.FunctionToolCall(name="escalate_sentiment", arguments=arguments, call_id=f"call_{score}")
        )

    async def hang_up(self) -> None:
        if self.phone is not None:
            await self.phone.disconnect()
            self.phone = None

    async def end(self) -> None:
        await self.hang_up()
        with suppress(RuntimeError):
            await asyncio.wait_for(self.session.aclose(), PATIENCE)
        if self.room is not None:
            await self.room.disconnect()
            self.room = None
