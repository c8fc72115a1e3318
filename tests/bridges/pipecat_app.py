"""A bot on the real Pipecat, whose ears, model, voice and line are scripted: subclasses of the framework's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pipecat_ai as bridge
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner
from sentiment_room import Call, Flag, Rooms, Transfer
from support import Event, until

RATE = 16_000
ANSWER = "I am sorry to hear that. Let me look it up."


class Ears(STTService):
    """Hears what it is told to."""

    def __init__(self) -> None:
        super().__init__(settings=STTSettings(model="scripted", language=None), ttfs_p99_latency=0.0)

    async def hear(self, *finals: str) -> None:
        """One turn, of one or more finals of the recogniser."""
        await self.push_frame(VADUserStartedSpeakingFrame())
        for text in finals:
            await self.push_frame(TranscriptionFrame(text, "caller", time_now_iso8601()))
        await self.push_frame(VADUserStoppedSpeakingFrame())

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        yield None


class Model(LLMService[Any]):
    """Answers the same to everything, or calls the tool when it is told to."""

    def __init__(self) -> None:
        super().__init__(settings=LLMSettings(model="scripted"))
        self.calls: list[Event] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
        elif self.calls:
            call = FunctionCallFromLLM("escalate_sentiment", "call_7", self.calls.pop(), frame.context)
            await self.run_function_calls([call])
        else:
            await self.push_frame(LLMFullResponseStartFrame())
            await self.push_frame(LLMTextFrame(ANSWER))
            await self.push_frame(LLMFullResponseEndFrame())


class Voice(TTSService):
    """Says a tenth of a second of silence for every sentence."""

    def __init__(self) -> None:
        settings = TTSSettings(model="scripted", voice="scripted", language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, sample_rate=RATE, settings=settings)
        self.said: list[str] = []

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        self.said.append(text)
        yield TTSAudioRawFrame(bytes(RATE // 10 * 2), RATE, 1, context_id=context_id)


class Line(BaseOutputTransport):
    """Plays at once, or, while it is held, the first sentence and no more."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE))
        self.free = asyncio.Event()
        self.free.set()
        self.waits = asyncio.Event()
        self.before_held = 3

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        # A chunk is 40 ms, a sentence three of them.
        if not self.free.is_set():
            if self.before_held == 0:
                self.waits.set()
                await self.free.wait()
            else:
                self.before_held -= 1
        return True


class PipecatApp:
    """One call."""

    def __init__(
        self,
        rooms: Rooms,
        name: str,
        transfer: Callable[[Transfer], Awaitable[object]] | None,
        set_flag: Callable[[Flag], Awaitable[object]] | None,
    ) -> None:
        self.ears, self._model, self._voice, self.line = Ears(), Model(), Voice(), Line()
        self.context = LLMContext([{"role": "developer", "content": "You help callers."}])
        turns = UserTurnStrategies(
            start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()],
            stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.05)],
        )
        self.pair = LLMContextAggregatorPair(
            self.context, user_params=LLMUserAggregatorParams(user_turn_strategies=turns)
        )
        pipeline = Pipeline([self.ears, self.pair.user(), self._model, self._voice, self.line, self.pair.assistant()])
        self.worker = PipelineWorker(pipeline, idle_timeout_secs=None)
        self._started = asyncio.Event()
        self._answers = 0
        self.worker.add_event_handler("on_pipeline_started", self._on_started)
        self.pair.assistant().add_event_handler("on_assistant_turn_stopped", self._on_answer)
        self.room = bridge.join(
            rooms, self.worker, self.pair, self.context, name, call=Call(name), transfer=transfer, set_flag=set_flag
        )

    @property
    def spoken(self) -> list[str]:
        return self._voice.said

    @property
    def instructions(self) -> str:
        told = [m["content"] for m in self.context.messages if isinstance(m, dict) and m["role"] == "developer"]
        return str(told[-1])

    async def start(self) -> None:
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        self._running = asyncio.create_task(runner.run())
        await until("the pipeline", self._started.is_set)

    async def caller(self, *finals: str) -> None:
        before = self._answers
        await self.ears.hear(*finals)
        await until("an answer", lambda: self._answers > before)

    async def interrupted(self, first: str, second: str) -> None:
        """The caller says something, and something else into the agent's answer."""
        self.line.free.clear()
        await self.ears.hear(first)
        await until("an answer", self.line.waits.is_set)
        before = self._answers
        await self.ears.hear(second)
        await until("an interruption", lambda: self._answers > before)
        self.line.free.set()
        await until("an answer", lambda: self._answers > before + 1)

    async def tool(self, arguments: Event) -> Any:
        """The model calls the tool; returns what it is answered."""
        await until("the tool", lambda: bool(self.context.tools))
        self._model.calls.append(arguments)
        await self.caller("Well.")
        (output,) = [m["content"] for m in self.context.messages if isinstance(m, dict) and m["role"] == "tool"]
        return json.loads(str(output))

    async def end(self) -> None:
        self.line.free.set()
        await self.worker.queue_frame(EndFrame())
        await self._running

    async def _on_started(self, *_: object) -> None:
        self._started.set()

    async def _on_answer(self, *_: object) -> None:
        self._answers += 1
