"""OpenAI's Realtime API as a sideband sees it. Every event that goes either way is held against the vendor's own types."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter

from support import soon

Event = dict[str, Any]
KEY = "sk-test-0123456789"
APPS_TOOL = {"type": "function", "name": "look_up_order", "description": "Finds an order.", "parameters": {"type": "object"}}

_to_client: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_to_server: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


class Api:
    """One call, its conversation, and who is connected to it."""

    def __init__(self, call_id: str = "rtc_u1", transcribes: bool = True, azure: bool = False) -> None:
        self.call_id, self.azure = call_id, azure
        self.session: Event = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "tools": [APPS_TOOL]}
        transcription = {"model": "gpt-transcribe"} if transcribes else None
        self.session["audio"] = {"input": {"transcription": transcription}}
        self.url = self.http = ""
        self.came: asyncio.Queue[Event] = asyncio.Queue()
        self.seen: list[Event] = []
        self.referred: list[Event] = []
        self.refer_status = 200
        self.joined = asyncio.Event()
        self.heard = asyncio.Event()
        self.heard.set()
        self.over = False
        self.items: dict[str, Event] = {}
        self.before: dict[str, str | None] = {}
        self.last: str | None = None
        self._active: Event | None = None
        self._socket: web.WebSocketResponse | None = None
        self._numbers = itertools.count(1)

    async def send(self, event: Event) -> None:
        event = {"event_id": f"event_{next(self._numbers)}", **event}
        _to_client.validate_python(event)
        if self._socket is not None and not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_json(event)

    async def received(self, kind: str) -> Event:
        """The next event of a type from the sidecar; the others are passed over."""

        async def look() -> Event:
            while (event := await self.came.get())["type"] != kind:
                pass
            return event

        return await soon(f"{kind} from the sidecar, after {self.seen}", look())

    async def caller_speaks(self, item_id: str) -> None:
        """What the caller says is committed; its words come later (`transcribed`)."""
        part = {"type": "input_audio", "transcript": None}
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": [part]}
        self.before[item_id], self.last = self.last, item_id
        self.items[item_id] = item
        await self.added(item_id)

    async def added(self, item_id: str) -> None:
        """Tells of an item that the caller spoke, and its place; again where it was told before."""
        place = {"previous_item_id": self.before[item_id]}
        await self.send({"type": "input_audio_buffer.committed", "item_id": item_id, **place})
        await self.send({"type": "conversation.item.added", "item": self.items[item_id], **place})

    async def transcribed(self, item_id: str, words: str) -> None:
        self.items[item_id]["content"][0]["transcript"] = words
        kind = "conversation.item.input_audio_transcription.completed"
        usage = {"type": "duration", "seconds": 1.0}
        await self.send({"type": kind, "item_id": item_id, "content_index": 0, "transcript": words, "usage": usage})

    async def not_transcribed(self, item_id: str) -> None:
        kind = "conversation.item.input_audio_transcription.failed"
        error = {"type": "server_error", "message": "the model was out of order"}
        await self.send({"type": kind, "item_id": item_id, "content_index": 0, "error": error})

    async def caller(self, item_id: str, words: str) -> None:
        await self.caller_speaks(item_id)
        await self.transcribed(item_id, words)

    async def agent_begins(self, metadata: Event | None = None) -> None:
        self._active = {"object": "realtime.response", "id": f"resp_{next(self._numbers)}", "metadata": metadata}
        await self.send({"type": "response.created", "response": {**self._active, "status": "in_progress", "output": []}})

    async def agent_ends(self, *output: Event, status: str = "completed") -> None:
        assert self._active is not None
        for item in output:
            previous, self.last = self.last, item["id"]
            await self.send({"type": "conversation.item.added", "item": item, "previous_item_id": previous})
        response, self._active = {**self._active, "status": status, "output": list(output)}, None
        audio = {"response_id": response["id"]}
        heard = bool(output) and output[0]["type"] == "message"
        if heard:
            await self.send({"type": "output_audio_buffer.started", **audio})
        await self.send({"type": "response.done", "response": response})
        # Answers are there before they are heard.
        await self.heard.wait()
        if heard:
            await self.send({"type": "output_audio_buffer.stopped", **audio})

    async def cut(self) -> None:
        """Breaks the connection, without a word."""
        assert self._socket is not None
        self.joined.clear()
        transport = self._socket._req.transport if self._socket._req else None
        assert transport is not None
        transport.abort()

    async def hang_up(self) -> None:
        """The call is over."""
        self.over = True
        if self._socket is not None:
            await self._socket.close(code=1000)

    async def _join(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("api-key") if self.azure else request.headers.get("Authorization")
        if key != (KEY if self.azure else f"Bearer {KEY}"):
            return web.Response(status=401, text=f"incorrect key: {key}")
        if self.over or request.query.get("call_id") != self.call_id:
            return web.Response(status=404)
        socket = self._socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._active = None
        await self.send({"type": "session.created", "session": self.session})
        self.joined.set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._take(json.loads(message.data))
        return socket

    async def _take(self, event: Event) -> None:
        _to_server.validate_python(event)
        self.seen.append(event)
        match event["type"]:
            case "session.update":
                self.session = {**self.session, **event["session"]}
                await self.send({"type": "session.updated", "session": self.session})
            case "conversation.item.retrieve":
                if item := self.items.get(event["item_id"]):
                    await self.send({"type": "conversation.item.retrieved", "item": item})
            case "response.create" if self._active is not None:
                error = {
                    "type": "invalid_request_error",
                    "code": "conversation_already_has_active_response",
                    "message": "Conversation already has an active response in progress.",
                    "event_id": event.get("event_id"),
                }
                await self.send({"type": "error", "error": error})
            case "response.create":
                await self.agent_begins((event.get("response") or {}).get("metadata"))
        self.came.put_nowait(event)

    async def _refer(self, request: web.Request) -> web.Response:
        self.referred.append({"call": request.match_info["call"], "key": dict(request.headers), **await request.json()})
        return web.Response(status=self.refer_status)


def spoken(item_id: str, words: str) -> Event:
    """What the agent said."""
    part = {"type": "output_audio", "transcript": words}
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def tool_call(item_id: str, call_id: str, name: str, arguments: Event) -> Event:
    said = {"call_id": call_id, "name": name, "arguments": json.dumps(arguments)}
    return {"id": item_id, "type": "function_call", "status": "completed", **said}


@asynccontextmanager
async def api(**what: Any) -> AsyncIterator[Api]:
    of_call, app = Api(**what), web.Application()
    base = "/openai/v1/realtime" if of_call.azure else "/v1/realtime"
    app.router.add_get(base, of_call._join)
    app.router.add_post(base + "/calls/{call}/refer", of_call._refer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    of_call.url, of_call.http = f"ws://{address}{base}", f"http://{address}"
    try:
        yield of_call
    finally:
        await runner.cleanup()
