"""Workers that are killed, and jobs that are given out twice: each call is somebody's in the end, and escalates once."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

from livekit import api
from livekit_room import CALLER, RoomCall, Server, Worker
from support import ANGRY, Event, Hook, desk, going_on, hook, in_loop, soon, until
from test_livekit_connection import is_there, place


def settings(webhook: Hook) -> Event:
    """Twenty calls at a time keep the cores of a small machine busy."""
    return webhook.settings() | {"sentimentRaterDeadlineMs": 30_000, "sentimentWebhookTimeoutMs": 60_000}


@in_loop
async def test_a_job_that_is_given_out_twice_does_no_harm(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), hook() as webhook, going_on(RoomCall(livekit, "room_1")) as call:
        workers = [await livekit.worker(at, settings(webhook)) for _ in range(2)]
        for angry in ANGRY:
            await call.caller(angry)

        async def both_were_given_one() -> None:
            # Which of them is, is a matter of chance. A job of a room that a worker has joins what it does there, and nothing is
            # told.
            while not all(worker.of("attached") for worker in workers):
                await livekit.dispatch("room_1")
                await asyncio.sleep(1)

        await soon("both to be given a job", both_were_given_one())
        await until("the alert", lambda: webhook.came)
        await until("who was put out to end", lambda: any(worker.of("ended") for worker in workers))
        await soon("the sidecar", is_there(livekit, "room_1"))
        await call.end()
        for worker in workers:
            worker.drain()
            assert await worker.exit() == 0
        assert len({alert for alert, _ in webhook.came}) == 1


async def is_marked(livekit: Server, room: str, mark: str) -> None:
    """Waits until the caller has an attribute of ours that begins so."""
    async with livekit.api() as server_api:
        while True:
            listed = await server_api.room.list_participants(api.ListParticipantsRequest(room=room))
            marks = [name for who in listed.participants if who.identity == CALLER for name in who.attributes]
            if any(name.startswith(f"sentiment-sidecar.{mark}.") for name in marks):
                return
            await asyncio.sleep(0.05)


@in_loop
async def test_what_a_worker_has_acted_on_is_not_done_again_on_another_machine(tmp_path: Path) -> None:
    async with (
        place(tmp_path) as (livekit, at),
        # A store of its own, as on another machine.
        desk() as elsewhere,
        hook() as webhook,
        going_on(RoomCall(livekit, "room_1")) as call,
    ):
        first = await livekit.worker(at, settings(webhook))
        await livekit.dispatch("room_1")
        await first.told("attached", room="room_1")
        for angry in ANGRY:
            await call.caller(angry)
        escalation = await first.told("escalation", room="room_1")
        await soon("the alert to be marked", is_marked(livekit, "room_1", "alert"))
        await soon("its webhook to be marked", is_marked(livekit, "room_1", "told"))
        second = await livekit.worker(elsewhere, settings(webhook))
        await first.kill()
        again = await second.told("escalation", room="room_1")
        assert again["alert_id"] == escalation["alert_id"]
        await call.caller("Thank you, that is all.")
        await second.told("turn", room="room_1", turn=len(ANGRY) + 1)
        second.drain()
        await call.end()
        assert await second.exit() == 0
        assert [alert for alert, _ in webhook.came] == [escalation["alert_id"]], "nobody is told twice"
        assert any("not done twice" in event["detail"] for event in second.of("warning", room="room_1"))


def rooms_of(worker: Worker) -> set[str]:
    return {event["room"] for event in worker.of("attached")}


@in_loop
async def test_the_calls_of_a_worker_that_is_killed_are_taken_over(tmp_path: Path) -> None:
    async with place(tmp_path) as (livekit, at), hook() as webhook, AsyncExitStack() as stack:
        calls = [RoomCall(livekit, f"room_{number}") for number in range(20)]
        for call in calls:
            await stack.enter_async_context(going_on(call))
        first, second = [await livekit.worker(at, settings(webhook)) for _ in range(2)]
        for call in calls:
            await livekit.dispatch(call.name, json.dumps({"sentimentWindowTurns": 3}))
        await until("all sidecars", lambda: len(rooms_of(first) | rooms_of(second)) == len(calls))
        # On busy cores a call may have been asked for twice.
        orphans = rooms_of(first) - rooms_of(second)
        assert orphans, "they share the calls"
        for angry in ANGRY[:2]:
            await asyncio.gather(*(call.caller(angry) for call in calls))
        await first.kill()
        killed = time.monotonic()
        for room in orphans:
            await second.told("attached", room=room)
        print(f"{len(orphans)} calls were taken over {time.monotonic() - killed:.1f} s after their worker was killed")
        await asyncio.gather(*(call.caller(ANGRY[2]) for call in calls))
        for call in calls:
            await second.told("escalation", room=call.name)
        await until("all alerts", lambda: len({alert for alert, _ in webhook.came}) >= len(calls))
        alerts = {alert: body["room_name"] for alert, body in webhook.came}
        assert sorted(alerts.values()) == sorted(call.name for call in calls), "each once"
