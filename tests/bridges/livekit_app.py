"""A voice app on the real LiveKit Agents; its ears, model and voice are scripted subclasses of the framework's own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import livekit_agents as bridge
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm, stt, tts
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.voice import io
from sentiment_room import Call, Flag, Rooms, Transfer
from support import Event, until

RATE = 16_000
ANSWER = "I am sorry to hear that. Let me look it up."


class Ears(stt.STT[Any]):
    """Hears what it is told to."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.heard: asyncio.Queue[stt.SpeechEvent] = asyncio.Queue()

    def hear(self, *finals: str) -> None:
        """One turn, of one or more finals of the recogniser."""
        self.heard.put_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH))
        for text in finals:
            data = [stt.SpeechData(language=LanguageCode("en"), text=text)]
            self.heard.put_nowait(stt.SpeechEvent(stt.SpeechEventType.INTERIM_TRANSCRIPT, alternatives=data))
            self.heard.put_nowait(stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=data))
        self.heard.put_nowait(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH))

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> _Hearing:
        return _Hearing(stt=self, conn_options=conn_options)

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        raise NotImplementedError


class _Hearing(stt.RecognizeStream):
    async def _run(self) -> None:
        ears = self._stt
        assert isinstance(ears, Ears)
        while True:
            self._event_ch.send_nowait(await ears.heard.get())


class Model(llm.LLM[Any]):
    """Answers the same to everything, or calls the tool when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[llm.FunctionToolCall] = []
        self.asked: llm.ChatContext | None = None
        self.tools: list[llm.Tool] = []

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        self.asked, self.tools = chat_ctx, tools or []
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        model = self._llm
        assert isinstance(model, Model)
        delta = llm.ChoiceDelta(role="assistant", content=ANSWER)
        if model.calls:
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[model.calls.pop(0)])
        self._event_ch.send_nowait(llm.ChatChunk(id="answer", delta=delta))


class Voice(tts.TTS[Any]):
    """Says a tenth of a second of silence for every sentence."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)
        self.said: list[str] = []

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        self.said.append(text)
        return _Sentence(tts=self, input_text=text, conn_options=conn_options)


class _Sentence(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id="said", sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(bytes(RATE // 10 * 2))
        output_emitter.flush()


class Line(io.AudioInput):
    """A caller's line on which nothing is to be heard: what is said comes by `Ears`."""

    def __init__(self) -> None:
        super().__init__(label="line")

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0.05)
        return rtc.AudioFrame(bytes(RATE // 20 * 2), RATE, 1, RATE // 20)


class Speaker(io.AudioOutput):
    """Plays at once, or, while it is held, until it is interrupted."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self.held = False
        self.playing = False
        self._duration = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self.playing:
            self.playing = True
            self.on_playback_started(created_at=time.time())
        self._duration += frame.duration

    def flush(self) -> None:
        super().flush()
        if not self.held:
            self._over(interrupted=False)

    def release(self) -> None:
        """Plays what is held."""
        self.held = False
        self._over(interrupted=False)

    def clear_buffer(self) -> None:
        self._over(interrupted=True)

    def _over(self, *, interrupted: bool) -> None:
        if self.playing:
            self.playing = False
            self.on_playback_finished(playback_position=self._duration, interrupted=interrupted)
            self._duration = 0.0




class LiveKitApp:
    """One call."""

    def __init__(
        self,
        rooms: Rooms,
        name: str,
        transfer: Callable[[Transfer], Awaitable[object]] | None,
        set_flag: Callable[[Flag], Awaitable[object]] | None,
    ) -> None:
        self._ears, self._model, self._voice = Ears(), Model(), Voice()
        self.line, self.speaker = Line(), Speaker()
        self.parts: dict[str, Any] = {
            "stt": self._ears,
            "llm": self._model,
            "tts": self._voice,
            "vad": None,
            "turn_handling": {
                "turn_detection": "stt",
                "endpointing": {"min_delay": 0.0, "max_delay": 0.2},
                "interruption": {"min_duration": 0.0},
            },
            "aec_warmup_duration": None,
            "session_close_transcript_timeout": 0.1,
        }
        self.session: AgentSession[Any] = AgentSession(**self.parts)
        self.session.input.audio, self.session.output.audio = self.line, self.speaker
        self.room = bridge.join(rooms, self.session, name, call=Call(name), transfer=transfer, set_flag=set_flag)
        self.agent = Agent(instructions="You help callers.")

    @property
    def spoken(self) -> list[str]:
        return self._voice.said

    @property
    def instructions(self) -> str:
        return str(self.agent.instructions)

    async def start(self) -> None:
        await self.session.start(agent=self.agent, record=False)

    async def caller(self, *finals: str) -> None:
        before = len(self._items("assistant"))
        self._ears.hear(*finals)
        await until("an answer", lambda: len(self._items("assistant")) > before)
        await until("silence", lambda: not self.speaker.playing)

    async def interrupted(self, first: str, second: str) -> None:
        """The caller says something, and something else into the agent's answer."""
        before = len(self._items("assistant"))
        self.speaker.held = True
        self._ears.hear(first)
        await until("an answer", lambda: self.speaker.playing)
        self.speaker.held = False
        self._ears.hear(second)
        await until("both answers", lambda: len(self._items("assistant")) == before + 2)
        await until("silence", lambda: not self.speaker.playing)
        assert [item.interrupted for item in self._items("assistant")[-2:]] == [True, False]

    async def tool(self, arguments: Event) -> Any:
        """The model calls the tool; returns what it is answered."""
        call = llm.FunctionToolCall(name="escalate_sentiment", arguments=json.dumps(arguments), call_id="call_7")
        await until("the tool", lambda: "escalate_sentiment" in [tool.id for tool in self.agent.tools])
        self._model.calls.append(call)
        await self.caller("Well.")
        outputs = [item for item in self.session.history.items if item.type == "function_call_output"]
        return json.loads(outputs[-1].output)

    async def end(self) -> None:
        await self.session.aclose()

    def _items(self, role: str) -> list[llm.ChatMessage]:
        return [item for item in self.session.history.items if item.type == "message" and item.role == role]
