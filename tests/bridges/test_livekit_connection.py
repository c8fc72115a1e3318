"""The connection to a LiveKit room: joined over what there is, kept whatever is cut, and nothing lost or doubled on the way."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from livekit import api, rtc
from livekit.protocol import models
from livekit_room import CALLER, KEY, SECRET, SIP, RoomCall, Server, free_port, join, server
from support import ANGRY, Desk, Event, Sidecar, desk, going_on, in_loop, soon, to_act, until

SETTINGS = to_act("flag")


class Publisher:
    """A caller whose words come as transcripts, each with its number."""

    def __init__(self, livekit: Server, room: str) -> None:
        self._livekit, self._name = livekit, room
        self.said = 0
        self.room: rtc.Room | None = None

    async def start(self) -> None:
        self.room = await join(self._livekit, self._name, CALLER, "sip", SIP)

    async def say(self, many: int) -> None:
        assert self.room is not None
        for _ in range(many):
            self.said += 1
            attributes = {"lk.segment_id": f"SG_{self.said}", "lk.transcription_final": "true"}
            text = f"This is sentence number {self.said}."
            await self.room.local_participant.send_text(text, topic="lk.transcription", attributes=attributes)

    async def end(self) -> None:
        if self.room is not None:
            await self.room.disconnect()
            self.room = None


class Listener:
    """The program in a room, with a recording of all that it heard there."""

    def __init__(self, at: Desk, livekit: Server, url: str | None = None) -> None:
        self._at, self._livekit, self._url = at, livekit, url
        self.recording = at.folder / f"recording-{time.monotonic_ns()}.jsonl"
        self.sidecar: Sidecar | None = None

    async def attach(self, room: str, *flags: str) -> Sidecar:
        arguments = ("--dialect", "livekit", "--room-url", self._url or self._livekit.url, "--room", room, *flags)
        self.sidecar = await self._at.run(
            "attach",
            *(*arguments, "--record", str(self.recording), "--agent", str(self._at.agent(SETTINGS))),
            env={"SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": SECRET, "SIDECAR_LOG": "debug"},
        )
        return self.sidecar

    def told(self, kind: str) -> list[Event]:
        """What it was told so far, of one type."""
        if not self.recording.exists():
            return []
        lines = [json.loads(line) for line in self.recording.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["type"] == kind]

    def heard(self) -> list[str]:
        """The last word of each final piece, in the order of their coming."""
        finals = [line for line in self.told("transcript") if line["final"]]
        return [line["text"].removesuffix(".").rsplit(" ", 1)[1] for line in finals]

    async def has_heard(self, many: int) -> None:
        await until(f"sentence {many}", lambda: str(many) in self.heard())


def numbers(many: int) -> list[str]:
    return [str(number + 1) for number in range(many)]


class Between:
    """Carries signalling to a server, and counts and cuts what it carries; while it is `away`, it carries nothing. What it
    carries may be changed on the way."""

    def __init__(self, port: int, swap: tuple[bytes, bytes] = (b"", b"")) -> None:
        self.url = ""
        self.carried = 0
        self.away = False
        self._port, self._swap = port, swap
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.carried += 1
        ends = {writer, there_writer}
        self._open |= ends
        with suppress(ConnectionError):
            await asyncio.gather(self._pour(reader, there_writer), self._pour(there_reader, writer))
        self._open -= ends
        for end in ends:
            end.transport.abort()

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data.replace(*self._swap) if self._swap[0] else data)
            await writer.drain()
        raise ConnectionResetError


@asynccontextmanager
async def between(
    port: int, swap: tuple[bytes, bytes] = (b"", b""), host: str = "127.0.0.1"
) -> AsyncIterator[Between]:
    carrier = Between(port, swap)
    listener = await asyncio.start_server(carrier.carry, host, 0)
    here = f"[{host}]" if ":" in host else host
    carrier.url = f"ws://{here}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield carrier
    finally:
        listener.close()
        carrier.cut()


@asynccontextmanager
async def place(tmp_path: Path, **rtc_settings: Any) -> AsyncIterator[tuple[Server, Desk]]:
    async with server(tmp_path, **rtc_settings) as livekit, desk() as at:
        yield livekit, at


@in_loop
async def test_every_sentence_is_heard_once_and_the_call_ends_with_the_room(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        listener = Listener(at, livekit)
        sidecar = await listener.attach("room_1")
        await sidecar.event("attached")
        await caller.say(50)
        await listener.has_heard(50)
        await caller.end()
        assert await sidecar.exit() == 0
        assert listener.heard() == numbers(50)
        assert sidecar.of("warning") == []


@in_loop
async def test_who_stands_still_while_words_flow_hears_them_all_in_their_order_afterwards(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        listener = Listener(at, livekit)
        sidecar = await listener.attach("room_1")
        await sidecar.event("attached")
        await caller.say(20)
        await listener.has_heard(20)
        sidecar.child.send_signal(signal.SIGSTOP)
        try:
            await caller.say(300)
        finally:
            sidecar.child.send_signal(signal.SIGCONT)
        await listener.has_heard(320)
        await caller.say(1)
        await listener.has_heard(321)
        await caller.end()
        assert await sidecar.exit() == 0
        assert listener.heard() == numbers(321)


@in_loop
async def test_signalling_is_resumed_while_words_flow_on(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        async with between(livekit.port) as wire:
            listener = Listener(at, livekit, wire.url)
            sidecar = await listener.attach("room_1")
            await sidecar.event("attached")
            for round in range(3):
                await caller.say(5)
                before = wire.carried
                wire.cut()
                await caller.say(5)
                await until("signalling", lambda: wire.carried > before)
                await listener.has_heard(10 * round + 10)
            await caller.end()
            assert await sidecar.exit() == 0, "it hears over what it resumed that the room is closed"
        assert listener.heard() == numbers(30)
        assert sidecar.of("warning") == [], "nobody notices"


@in_loop
async def test_who_leaves_while_signalling_is_away_is_seen_to_have_left(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        agents = [await join(livekit, "room_1", f"agent-{n}", "agent") for n in (1, 2)]
        async with between(livekit.port) as wire:
            listener = Listener(at, livekit, wire.url)
            sidecar = await listener.attach("room_1")
            await sidecar.event("attached")
            await caller.say(1)
            await listener.has_heard(1)
            wire.away = True
            wire.cut()
            await agents[0].disconnect()
            await caller.say(1)
            await listener.has_heard(2)
            wire.away = False
            await until("the word of it", lambda: listener.told("participant.left"))
            await caller.say(1)
            await listener.has_heard(3)
            for agent in agents[1:]:
                await agent.disconnect()
            await caller.end()
            assert await sidecar.exit() == 0
        assert [left["participant"]["id"] for left in listener.told("participant.left")][0] == "agent-1"
        assert listener.heard() == numbers(3)


@in_loop
async def test_a_server_that_starts_again_is_joined_again(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        listener = Listener(at, livekit)
        sidecar = await listener.attach("room_1")
        await sidecar.event("attached")
        await caller.say(3)
        await listener.has_heard(3)
        # Whoever left before would have taken the room along.
        await livekit.kill()
        await caller.end()
        await livekit.restart()
        await caller.start()
        await soon("the sidecar to be back", is_there(livekit, "room_1"))
        await caller.say(3)
        await listener.has_heard(6)
        await caller.end()
        assert await sidecar.exit() == 0
        assert listener.heard() == numbers(6)


async def is_there(livekit: Server, room: str) -> None:
    """Waits until the server says that the sidecar hears what is said in a room."""
    async with livekit.api() as server_api:
        while True:
            listed = await server_api.room.list_participants(api.ListParticipantsRequest(room=room))
            active = [who.identity for who in listed.participants if who.state == models.ParticipantInfo.ACTIVE]
            if "sentiment-sidecar" in active:
                return
            await asyncio.sleep(0.05)


@in_loop
async def test_who_comes_second_under_our_name_puts_the_first_out(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        first, second = Listener(at, livekit), Listener(at, livekit)
        one = await first.attach("room_1")
        await one.event("attached")
        two = await second.attach("room_1")
        await two.event("attached")
        assert await one.exit() == 7
        await caller.say(3)
        await second.has_heard(3)
        await caller.end()
        assert await two.exit() == 0


@in_loop
async def test_a_wrong_secret_is_refused_at_once_and_not_shown(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at):
        child = await asyncio.create_subprocess_exec(
            *(*at.program("attach"), "--dialect", "livekit", "--room-url", livekit.url, "--room", "room_1"),
            *("--agent", str(at.agent(SETTINGS))),
            env={**at.environment(), "SIDECAR_LIVEKIT_API_KEY": KEY, "SIDECAR_LIVEKIT_API_SECRET": "hunter2" * 8}
            | {"SIDECAR_LOG": "trace"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await soon("the program to end", child.communicate())
        assert child.returncode == 7, err.decode()
        shown = (out + err).decode()
        assert "HTTP 401" in shown
        assert "hunter2" not in shown and "eyJ" not in shown, shown


@in_loop
async def test_tcp_will_do_where_udp_does_not_get_through(tmp_path: Path) -> None:
    async with place(tmp_path, force_tcp=True) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        listener = Listener(at, livekit)
        sidecar = await listener.attach("room_1")
        await sidecar.event("attached")
        await caller.say(20)
        await listener.has_heard(20)
        await caller.end()
        assert await sidecar.exit() == 0
        assert listener.heard() == numbers(20)


@asynccontextmanager
async def behind_tls(folder: Path, port: int) -> AsyncIterator[tuple[str, Path]]:
    """What ends TLS before a server, and the certificate of its authority."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await soon("a certificate", made.wait()) == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    carrier = Between(port)
    listener = await asyncio.start_server(carrier.carry, "127.0.0.1", 0, ssl=context)
    try:
        yield f"wss://localhost:{listener.sockets[0].getsockname()[1]}", certificate
    finally:
        listener.close()
        carrier.cut()


@in_loop
async def test_a_server_behind_tls_is_joined_where_its_authority_is_trusted(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        async with behind_tls(tmp_path, livekit.port) as (url, certificate):
            listener = Listener(at, livekit, url)
            sidecar = await listener.attach("room_1", "--ca-file", str(certificate))
            await sidecar.event("attached")
            await caller.say(5)
            await listener.has_heard(5)
            await caller.end()
            assert await sidecar.exit() == 0
        assert listener.heard() == numbers(5)


@in_loop
async def test_a_server_is_found_at_an_address_of_ipv6(tmp_path: Path) -> None:
    # Its media stay with IPv4: LiveKit offers nothing at the loopback address of IPv6.
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        async with between(livekit.port, host="::1") as carrier:
            listener = Listener(at, livekit, carrier.url)
            sidecar = await listener.attach("room_1")
            await sidecar.event("attached")
            await caller.say(5)
            await listener.has_heard(5)
            await caller.end()
            assert await sidecar.exit() == 0
        assert listener.heard() == numbers(5)


@in_loop
async def test_an_older_server_is_joined_over_two_connections(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(RoomCall(livekit, "room_1")) as call:
        await call.caller(ANGRY[0])
        url = await livekit.front_with_sip(older=True)
        sidecar = await livekit.attach(at, "room_1", SETTINGS, url)
        # What was said before is asked for, over a connection of our own.
        await sidecar.event("turn")
        await call.caller(ANGRY[1])
        await sidecar.event("turn")
        assert sidecar.turns() == call.items()
        await call.end()
        assert await sidecar.exit() == 0


class Lossy(asyncio.DatagramProtocol):
    """A wire for datagrams that loses some of them, either way."""

    def __init__(self, port: int, loss: float) -> None:
        self._port, self._loss, self._random = port, loss, random.Random(7)
        self._ways: dict[Any, asyncio.DatagramTransport] = {}
        self.lost = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        for way in self._ways.values():
            way.close()

    def error_received(self, _: Exception) -> None: ...

    def loses(self) -> bool:
        lost = self._random.random() < self._loss
        self.lost += lost
        return lost

    def datagram_received(self, data: bytes, address: Any) -> None:
        if not self.loses():
            asyncio.get_running_loop().create_task(self._pass_on(data, address))

    async def _pass_on(self, data: bytes, address: Any) -> None:
        if address not in self._ways:
            there = ("127.0.0.1", self._port)
            loop = asyncio.get_running_loop()
            way, _ = await loop.create_datagram_endpoint(lambda: _Back(self, address), remote_addr=there)
            self._ways.setdefault(address, way)
        self._ways[address].sendto(data)

    def change_ports(self) -> None:
        """From now on packets come to the server from elsewhere, as behind a NAT that forgot."""
        ways, self._ways = self._ways, {}
        for way in ways.values():
            way.close()


class _Back(asyncio.DatagramProtocol):
    def __init__(self, wire: Lossy, to: Any) -> None:
        self._wire, self._to = wire, to

    def datagram_received(self, data: bytes, _: Any) -> None:
        if not self._wire.loses() and self._wire.transport is not None:
            self._wire.transport.sendto(data, self._to)


@asynccontextmanager
async def lossy(livekit: Server, loss: float) -> AsyncIterator[tuple[Lossy, str]]:
    """A lossy wire, and signalling that leads to it: addresses in it are changed to others of the same length."""
    port = free_port()
    while len(str(port)) != len(str(livekit.udp)):
        port = free_port()
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_datagram_endpoint(
        lambda: Lossy(livekit.udp, loss), local_addr=("127.0.0.1", port)
    )
    swap = (f" {livekit.udp} typ".encode(), f" {port} typ".encode())
    try:
        async with between(livekit.port, swap) as carrier:
            yield wire, carrier.url
    finally:
        transport.close()


@in_loop
async def test_of_fifteen_lost_packets_in_a_hundred_nobody_hears(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        async with lossy(livekit, 0.15) as (wire, url):
            listener = Listener(at, livekit, url)
            sidecar = await listener.attach("room_1")
            await sidecar.event("attached")
            await caller.say(100)
            await listener.has_heard(100)
            await caller.end()
            assert await sidecar.exit() == 0
            assert wire.lost > 5
        assert listener.heard() == numbers(100)


@in_loop
async def test_words_find_their_way_when_our_address_changes(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")) as caller:
        async with lossy(livekit, 0.0) as (wire, url):
            listener = Listener(at, livekit, url)
            sidecar = await listener.attach("room_1")
            await sidecar.event("attached")
            await caller.say(3)
            wire.change_ports()
            await caller.say(3)
            await listener.has_heard(6)
            await caller.end()
            assert await sidecar.exit() == 0
        assert listener.heard() == numbers(6)


@in_loop
async def test_joining_takes_a_moment(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), going_on(Publisher(livekit, "room_1")):
        took = []
        for _ in range(10):
            begin = time.monotonic()
            sidecar = await Listener(at, livekit).attach("room_1")
            await sidecar.event("attached")
            took.append(time.monotonic() - begin)
            await sidecar.kill()
        # How long depends on the machine; most is the program's own start where it is not optimised.
        print(f"start to attached: {[round(1000 * t) for t in took]} ms")
