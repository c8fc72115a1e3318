"""The pages of the manual: the code for bridges runs as it stands there, and every test that they name is there."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import livekit_agents
import pytest
import sentiment_room
from livekit.agents import Agent, AgentSession
from livekit_app import LiveKitApp
from sentiment_room import Rooms
from support import PROGRAM, Event, in_loop

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "src/manual/rooms.md").read_text()


def block(start: str) -> str:
    """The Python block of the page that begins so."""
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S) if code.startswith(start)]
    return str(found)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the page was followed: `agent.json` is in it, and the program on the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sentiment-sidecar").symlink_to(Path(PROGRAM).resolve())
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SIDECAR_STORE", str(tmp_path / "store.db"))
    monkeypatch.chdir(tmp_path)
    (settings,) = re.findall(r"echo '(.*)' > ~/my-agent/agent.json", PAGE)
    (tmp_path / "agent.json").write_text(settings)
    return tmp_path


def test_any_other_app_is_wired_as_the_page_says(place: Path) -> None:
    events: list[Event] = []
    names: dict[str, Any] = {**vars(sentiment_room), "print": events.append}
    exec(block("async def call"), names)  # noqa: S102

    @in_loop
    async def run() -> None:
        await names["call"](None, None)

    run()
    assert [event["type"] for event in events] == ["attached", "turn", "ended"]


def test_a_livekit_entrypoint_is_wired_as_the_page_says(place: Path) -> None:
    finishes: list[Any] = []

    @in_loop
    async def run() -> None:
        async with Rooms() as unused:
            app = LiveKitApp(unused, "unused", None, None)

        class Session(AgentSession[Any]):
            """Scripted, and without a LiveKit room."""

            def __init__(self, **_: Any) -> None:
                super().__init__(**app.parts)
                self.input.audio, self.output.audio = app.line, app.speaker

            async def start(self, agent: Agent, **_: Any) -> None:  # type: ignore[override]
                app.session, app.agent = self, agent
                await super().start(agent=agent, record=False)

        async def nothing() -> None: ...
        async def caller() -> Any:
            return SimpleNamespace(identity="sip_caller")

        context = SimpleNamespace(
            room=SimpleNamespace(name="room_1"),
            api=None,
            connect=nothing,
            wait_for_participant=caller,
            add_shutdown_callback=finishes.append,
        )
        names: dict[str, Any] = {
            **vars(livekit_agents),
            "JobContext": object,
            "AgentSession": Session,
            "MyAgent": lambda: Agent(instructions="You help callers."),
        }
        exec(block("async def entrypoint"), names)  # noqa: S102
        await names["entrypoint"](context)
        await app.caller("Nobody at your company seems to care.")
        # The framework calls it with its reason, and closes the session meanwhile.
        await asyncio.gather(finishes[0]("job over"), app.end())

    run()
    assert (place / "store.db").exists()


@pytest.mark.parametrize(("page", "least"), [("rooms", 30), ("openai", 11), ("twilio", 2)])
def test_every_test_that_a_page_names_is_there(page: str, least: int) -> None:
    code = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (ROOT / f"src/manual/{page}.md").read_text())
    assert len(named) >= least
    for name in named:
        assert f"async def {name}(" in code, name


def test_the_pipecat_block_is_python_and_names_what_there_is() -> None:
    code = block("pair =")
    compile(f"async def bot():\n{re.sub('(?m)^', '    ', code)}", "rooms.md", "exec")
    app = (Path(__file__).parent / "pipecat_app.py").read_text()
    for name in ("LLMContextAggregatorPair(", "PipelineWorker(pipeline", "WorkerRunner(", ".add_workers(", ".run()"):
        assert name in code and name in app, name
