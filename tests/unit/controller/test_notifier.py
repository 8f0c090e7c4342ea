"""Which kills are sent to the webhook, and what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.cache import ClusterCache
from oomkeeper.controller.counts import ControllerCounts
from oomkeeper.controller.notifier import INTERVAL_SECONDS, Notifier
from oomkeeper.controller.write_queue import WriteQueue
from oomkeeper.reporting.incident import Incident

from .builders import NOW, incident
from .virtual_time import VirtualLoop, run_virtual


class FakeWebhook:
    """Accepts what it is told to."""

    cluster = "/"
    max_age_seconds = 3600.0

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.ids: list[str] = []
        self.times: list[float] = []
        self.down = False

    async def post(self, event: Mapping[str, Any]) -> None:
        self.times.append(self._loop.time())
        await asyncio.sleep(0.01)
        if self.down:
            raise APIError(status=503, what="POST", message="down")
        self.ids.append(event["id"])


class FakeApi:
    """Notes the annotations."""

    def __init__(self) -> None:
        self.notified: list[str] = []
        self.down = False

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.down:
            raise APIError(status=0, what=path, message="down")
        [value] = patch["metadata"]["annotations"].values()
        self.notified.append(value)
        return {"metadata": {"name": "web-1-app-0a", "namespace": "shop", "uid": "x", "resourceVersion": "1"}}


class Play:
    """A notifier with its surroundings."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.webhook, self.api, self.counts = FakeWebhook(loop), FakeApi(), ControllerCounts()
        self.queue = WriteQueue(clock=loop.time)
        self.notifier = Notifier(
            webhook=self.webhook,  # type: ignore[arg-type]
            api=self.api,  # type: ignore[arg-type]
            cache=ClusterCache(),
            queue=self.queue,
            counts=self.counts,
            monotonic=loop.time,
        )

    async def offer(self, *incidents: Incident, wait_seconds: float = 1.0) -> None:
        self.notifier.offer_all(incidents, now=NOW)
        await asyncio.sleep(wait_seconds)


def play(scenario: Callable[[Play], Coroutine[Any, Any, None]]) -> Play:
    async def main(loop: VirtualLoop) -> Play:
        made = Play(loop)
        await scenario(made)
        await made.queue.close()
        return made

    return run_virtual(main)


def named(uid: str, *, count: int = 3, notified: int = 0, age: float = 60.0) -> Incident:
    return replace(incident(count=count, age=age, name=uid), uid=uid, notified=notified)


def test_only_kills_that_were_not_sent_are_sent() -> None:
    async def scenario(made: Play) -> None:
        await made.offer(named("a"), named("b", notified=3), named("c", count=4, notified=3))

    made = play(scenario)
    assert sorted(made.webhook.ids) == ["a-3", "c-4"]
    assert made.counts.notifications.read() == {"sent": 2}


def test_accepted_event_is_not_sent_again_while_the_api_server_is_away() -> None:
    async def scenario(made: Play) -> None:
        made.api.down = True
        await made.offer(named("a"), wait_seconds=100)
        made.api.down = False
        await made.offer(named("a"), wait_seconds=100)
        await made.offer(named("a"), wait_seconds=100)  # the watch lags behind

    made = play(scenario)
    assert made.webhook.ids == ["a-3"]
    assert set(made.api.notified) == {"3"}


def test_events_about_one_incident_keep_an_interval() -> None:
    async def scenario(made: Play) -> None:
        await made.offer(named("a", count=1), wait_seconds=0.1)
        for count in range(2, 9):
            await made.offer(named("a", count=count, notified=1), wait_seconds=0.1)
        await made.offer(named("a", count=9, notified=1), wait_seconds=INTERVAL_SECONDS)

    made = play(scenario)
    assert made.webhook.ids == ["a-1", "a-9"]


def test_receiver_that_is_down_gets_few_requests_and_everything_afterwards() -> None:
    async def scenario(made: Play) -> None:
        incidents = [named(f"i{number}") for number in range(500)]
        made.webhook.down = True
        await made.offer(*incidents, wait_seconds=600)
        assert made.notifier.pending() == 500
        assert len(made.webhook.times) < 200
        made.webhook.down = False
        await made.offer(*incidents, wait_seconds=600)

    made = play(scenario)
    assert sorted(made.webhook.ids) == sorted(f"i{number}-3" for number in range(500))


def test_old_kills_expire_and_are_counted_once() -> None:
    async def scenario(made: Play) -> None:
        for _ in range(3):
            await made.offer(named("old", age=7200))

    made = play(scenario)
    assert made.webhook.ids == []
    assert made.counts.notifications.read() == {"expired": 1}


def test_count_that_falls_is_noted_without_an_event() -> None:
    async def scenario(made: Play) -> None:
        await made.offer(named("a", count=2, notified=3))

    made = play(scenario)
    assert (made.webhook.ids, made.api.notified) == ([], ["2"])


def test_deleted_incident_is_forgotten() -> None:
    async def scenario(made: Play) -> None:
        made.webhook.down = True
        await made.offer(named("a"), wait_seconds=10)
        await made.offer(wait_seconds=200)  # a request that is under way is finished
        await made.offer(wait_seconds=200)
        assert made.notifier.pending() == 0

    assert play(scenario).webhook.ids == []
