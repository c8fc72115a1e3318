"""Twilio's side of calls: what it asks of an app and how it signs that, with the validator of its own package; and lines that
write down every byte that passes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
from support import Desk, Event, Sidecar, own_port, soon
from twilio.request_validator import RequestValidator
from twilio_app import ACCOUNT, DOMAIN, NUMBER, TOKEN

CALLER = "+14155550123"
OUTCOME = "/sentiment-sidecar/outcome"


def signed(url: str, form: Event) -> dict[str, str]:
    """What Twilio says of itself, and what ends TLS says of Twilio."""
    signature = RequestValidator(TOKEN).compute_signature(url, form)
    return {"Host": DOMAIN, "X-Forwarded-Proto": "https", "X-Twilio-Signature": signature}


class Line:
    """Carries bytes to a port, and writes down what goes either way."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self.there, self.back = bytearray(), bytearray()
        self.over = asyncio.Event()
        self._to = to

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ways = (reader, there_writer, self.there), (there_reader, writer, self.back)
        await asyncio.gather(*(_pour(*way) for way in ways))
        for end in (writer, there_writer):
            end.close()
        self.over.set()

    def heads(self) -> tuple[bytes, bytes]:
        """What was asked for, and what the answer was."""
        return bytes(self.there.split(b"\r\n\r\n")[0]), bytes(self.back.split(b"\r\n\r\n")[0])

    def bodies(self) -> tuple[bytes, bytes]:
        """What followed, either way."""
        return bytes(self.there.split(b"\r\n\r\n", 1)[1]), bytes(self.back.split(b"\r\n\r\n", 1)[1])


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: bytearray) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            log.extend(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def line(to: int) -> AsyncIterator[Line]:
    between = Line(to)
    server = await asyncio.start_server(between.carry, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()


@asynccontextmanager
async def app() -> AsyncIterator[int]:
    """The app, in a process of its own, as it is deployed; the port that it listens on."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("twilio_app.py")),
        env={**os.environ, "TAC_ANALYTICS_DISABLED": "true"},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stderr is not None
    said: list[str] = []

    async def listens(log: asyncio.StreamReader) -> int:
        while text := (await log.readline()).decode():
            said.append(text)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", text):
                return int(found[1])
        raise AssertionError("".join(said))

    try:
        port = await soon("the app to listen", listens(child.stderr))
        # Nobody may wait for us to read.
        reading = asyncio.create_task(child.stderr.read())
        yield port
        reading.cancel()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def proxy(at: Desk, app_port: int, settings: Event) -> tuple[Sidecar, int]:
    """The program between Twilio and the app, once it listens."""
    port = own_port()
    where = ("--listen", f"127.0.0.1:{port}", "--app-url", f"ws://127.0.0.1:{app_port}", "--public-url", f"wss://{DOMAIN}")
    agent = ("--agent", str(at.agent(settings)))
    sidecar = await at.run("proxy", "--dialect", "twilio", *where, *agent, env={"SIDECAR_TWILIO_AUTH_TOKEN": TOKEN})

    async def listens() -> None:
        while True:
            with suppress(ConnectionError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            assert sidecar.child.returncode is None, "the proxy ended"
            await asyncio.sleep(0.02)

    await soon("the proxy to listen", listens())
    return sidecar, port


class PhoneCall:
    """A call of somebody, which Twilio serves as the app's TwiML says."""

    def __init__(self, http: aiohttp.ClientSession, app_port: int, call: str) -> None:
        self._http, self.app_port, self.call = http, app_port, call
        self.url = self.action = ""
        self.socket: aiohttp.ClientWebSocketResponse
        self.heard: list[str] = []

    def fields(self, **more: str) -> dict[str, str]:
        of_call = {"AccountSid": ACCOUNT, "CallSid": self.call, "From": CALLER, "To": NUMBER, "Direction": "inbound"}
        return {**of_call, **more}

    async def post(self, port: int, url: str, form: dict[str, str]) -> tuple[int, str]:
        """A webhook of Twilio's, through what ends TLS."""
        path = url.removeprefix(f"https://{DOMAIN}")
        async with self._http.post(f"http://127.0.0.1:{port}{path}", data=form, headers=signed(url, form)) as answer:
            return answer.status, await answer.text()

    async def ring(self) -> None:
        """Asks the app what to do with the call: it wants it relayed."""
        status, twiml = await self.post(self.app_port, f"https://{DOMAIN}/twiml", self.fields(CallStatus="ringing"))
        assert status == 200, twiml
        connect = ElementTree.fromstring(twiml).find("Connect")
        relay = connect.find("ConversationRelay") if connect is not None else None
        assert connect is not None and relay is not None, twiml
        self.url, self.action = relay.attrib["url"], connect.attrib["action"]

    async def relay(self, port: int, session: str = "VX1", query: str = "") -> None:
        """Dials the address of the TwiML, which leads to this port."""
        form = dict(pair.split("=") for pair in query.split("&") if pair)
        headers = signed(self.url, form)
        path = self.url.removeprefix(f"wss://{DOMAIN}") + (f"?{query}" if query else "")

        async def dialled() -> aiohttp.ClientWebSocketResponse:
            return await self._http.ws_connect(f"ws://127.0.0.1:{port}{path}", headers=headers)

        self.socket = await soon("the relay", dialled())
        setup = {"type": "setup", "sessionId": session, "callSid": self.call, "from": CALLER, "to": NUMBER}
        await self.say({**setup, "direction": "inbound", "callType": "PSTN", "callStatus": "RINGING"})

    async def say(self, message: Event) -> None:
        await self.socket.send_str(json.dumps(message))

    async def prompt(self, words: str) -> None:
        await self.say({"type": "prompt", "voicePrompt": words, "lang": "en-US", "last": True})

    async def message(self) -> Event:
        text = await soon("a message", self.socket.receive_str())
        self.heard.append(text)
        message: Event = json.loads(text)
        return message

    async def sentence(self) -> str:
        """The next that the caller hears, whole."""
        said: str = ""
        while (message := await self.message())["type"] == "text":
            said += message["token"]
            if message["last"]:
                return said
        raise AssertionError(message)

    async def asks(self, words: str) -> str:
        """The caller says something, and hears the answer."""
        await self.prompt(words)
        return await self.sentence()


@asynccontextmanager
async def phone_call(app_port: int, call: str) -> AsyncIterator[PhoneCall]:
    async with aiohttp.ClientSession() as http:
        yield PhoneCall(http, app_port, call)


def frames(stream: bytes) -> list[bytes]:
    """The frames that a server sent, each as it was on the wire."""
    found = []
    while stream:
        short = stream[1] & 0x7F
        extended = {126: 2, 127: 8}.get(short, 0)
        length = int.from_bytes(stream[2 : 2 + extended], "big") if extended else short
        end = 2 + extended + length
        found.append(stream[:end])
        stream = stream[end:]
    return found
