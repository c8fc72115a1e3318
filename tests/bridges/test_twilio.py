"""Calls of Twilio's, through the real program, to an app of Twilio's own framework (`twilio-agent-connect`), as it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support import ANGRY, Desk, Event, Sidecar, desk, hook, in_loop, soon, to_act
from twilio_app import DOMAIN
from twilio_call import OUTCOME, Line, PhoneCall, app, frames, line, phone_call, proxy

SENTENCE = "One moment, please."


class Place:
    """A call on its way: what stands where, and what went over the lines on either side of the program."""

    def __init__(self, sidecar: Sidecar, port: int, call: PhoneCall, outer: Line, inner: Line) -> None:
        self.sidecar, self.port, self.call, self.outer, self.inner = sidecar, port, call, outer, inner

    async def over(self) -> None:
        """The caller hangs up, and both connections end."""
        await self.call.socket.close()
        for way in (self.outer, self.inner):
            await soon("a connection to end", way.over.wait())


@asynccontextmanager
async def called(at: Desk, settings: Event, query: str = "") -> AsyncIterator[Place]:
    async with app() as app_port, line(app_port) as inner, phone_call(app_port, "CA1") as call:
        sidecar, port = await proxy(at, inner.port, settings)
        async with line(port) as outer:
            await call.ring()
            await call.relay(outer.port, query=query)
            yield Place(sidecar, port, call, outer, inner)
            sidecar.child.terminate()
            assert await sidecar.exit() == 0


@in_loop
async def test_an_app_of_twilios_framework_is_served_and_an_angry_caller_is_alerted_of_once() -> None:
    async with desk() as at, hook() as receiver, called(at, receiver.settings()) as place:
        for words in ANGRY:
            assert await place.call.asks(words) == f"I see: {len(words)}."
        escalation = await place.sidecar.event("escalation")
        await place.sidecar.event("delivery")
        # Still angry is no news.
        assert await place.call.asks(ANGRY[0]) == f"I see: {len(ANGRY[0])}."
        await place.over()
        assert (await place.sidecar.event("ended"))["turns"] == 4
        assert [alert for alert, _ in receiver.came] == [escalation["alert_id"]]
        assert [words for _, words in place.sidecar.turns()] == [*ANGRY, ANGRY[0]]
        # Neither side can tell that somebody is between them.
        assert place.outer.bodies() == place.inner.bodies()
        asked, answered = place.inner.heads()
        assert asked.lower().startswith(b"get /ws http/1.1\r\n") and f"host: {DOMAIN}".encode() in asked.lower()
        assert answered == place.outer.heads()[1]


@in_loop
async def test_a_query_is_signed_as_the_framework_checks_it() -> None:
    async with desk() as at, called(at, to_act("flag"), "b=2&a=1") as place:
        assert await place.call.asks("Hello.") == "I see: 6."
        await place.over()
        assert place.inner.heads()[0].startswith(b"GET /ws?b=2&a=1 ")


@in_loop
async def test_a_caller_is_handed_over_between_the_words_of_the_app() -> None:
    settings = to_act("transfer", sentimentHandoverSentence=SENTENCE, sentimentTransferDeadlineMs=120_000)
    async with desk() as at, called(at, settings) as place:
        for words in ANGRY[:-1]:
            assert await place.call.asks(words) == f"I see: {len(words)}."
        # Whether the app answers before the last turn is rated, after that, or after the end is a matter of chance.
        await place.call.prompt(ANGRY[-1])
        answer, said, end = f"I see: {len(ANGRY[-1])}.", "", None
        while end is None or answer not in said:
            message = await place.call.message()
            said += message.get("token", "")
            end = message if message["type"] == "end" else end
        assert SENTENCE in said
        handoff = json.loads(end["handoffData"])
        assert (handoff["callSid"], handoff["reason"]) == ("CA1", "streak")
        escalation = await place.sidecar.event("escalation")
        assert handoff["alertId"] == escalation["alert_id"]
        await place.over()
        # Twilio asks the app how to go on, and tells us what came of it.
        ended = {"SessionId": "VX1", "SessionStatus": "ended", "HandoffData": end["handoffData"]}
        form = place.call.fields(CallStatus="in-progress", **ended)
        assert (await place.call.post(place.call.app_port, place.call.action, form))[0] == 200
        human = {"ParentCallSid": "CA1", "CallSid": "CA2", "CallStatus": "in-progress"}
        form = place.call.fields() | human
        assert (await place.call.post(place.port, f"https://{DOMAIN}{OUTCOME}", form))[0] == 200
        assert (await place.sidecar.event("outcome"))["transfer"]["outcome"] == "transferred"
        # What the app said came as it said it, and two messages of ours beside.
        (up, down), (came_up, said_down) = place.outer.bodies(), place.inner.bodies()
        told = [json.loads(text) for text in place.call.heard]
        is_ours = [one["type"] == "end" or one.get("token") == SENTENCE for one in told]
        ours = [text.encode() for text, own in zip(place.call.heard, is_ours, strict=True) if own]
        passed = [frame for frame in frames(down) if not any(frame.endswith(text) for text in ours)]
        assert passed == frames(said_down) and len(frames(down)) == len(passed) + 2
        assert up == came_up
