"""The write queue, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.write_queue import Lane, Write, WriteQueue

from .virtual_time import VirtualLoop, run_virtual


class Recorder:
    """Writes that take `seconds` and are remembered with their start."""

    def __init__(self, loop: VirtualLoop, *, seconds: float = 1.0) -> None:
        self._loop, self._seconds = loop, seconds
        self.done: list[tuple[float, object]] = []
        self.failures = 0
        self.under_way = self.most_under_way = 0

    def write(self, content: object, *, lane: Lane, interval_seconds: float = 0.0) -> Write:
        async def run() -> None:
            self.done.append((self._loop.time(), content))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            await asyncio.sleep(self._seconds)
            self.under_way -= 1
            if self.failures:
                self.failures -= 1
                raise APIError(status=500, what="PATCH", message="no")

        return Write(content=content, run=run, lane=lane, interval_seconds=interval_seconds)


Scenario = Callable[[VirtualLoop, WriteQueue, Recorder], Awaitable[None]]


def play(scenario: Scenario) -> Recorder:
    async def main(loop: VirtualLoop) -> Recorder:
        queue, recorder = WriteQueue(clock=loop.time), Recorder(loop)
        await scenario(loop, queue, recorder)
        await asyncio.sleep(1000)
        assert queue.pending() == 0
        await queue.close()
        return recorder

    return run_virtual(main)


def test_only_the_latest_content_of_an_object_is_written() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        lane = Lane(parallel=4)
        queue.submit("a", recorder.write(1, lane=lane))
        await asyncio.sleep(0.5)
        for content in (2, 3, 4):
            queue.submit("a", recorder.write(content, lane=lane))

    assert play(scenario).done == [(0.0, 1), (1.0, 4)]


def test_writes_of_one_object_never_overlap() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        lane = Lane(parallel=4)
        for content in range(20):
            queue.submit("a", recorder.write(content, lane=lane))
            await asyncio.sleep(0.3)

    recorder = play(scenario)
    assert recorder.most_under_way == 1
    assert recorder.done[-1][1] == 19


def test_content_under_way_is_not_written_again() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        lane = Lane(parallel=4)
        for _ in range(3):
            queue.submit("a", recorder.write("same", lane=lane))
            await asyncio.sleep(0.2)

    assert play(scenario).done == [(0.0, "same")]


def test_first_write_is_immediate_and_later_ones_keep_the_interval() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        lane = Lane(parallel=4)
        for content in range(12):
            queue.submit("a", recorder.write(content, lane=lane, interval_seconds=5.0))
            await asyncio.sleep(0.9)

    assert play(scenario).done == [(0.0, 0), (5.0, 5), (10.0, 11)]


def test_lanes_do_not_wait_for_each_other() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        nodes, others = Lane(parallel=2), Lane(parallel=2)
        for number in range(100):
            queue.submit(f"node/{number}", recorder.write(number, lane=nodes))
        queue.submit("event", recorder.write("event", lane=others))

    recorder = play(scenario)
    assert (0.0, "event") in recorder.done
    assert recorder.done[-1] == (49.0, 99)
    assert recorder.most_under_way == 3


def test_failed_write_is_retried_with_growing_delays_until_it_succeeds() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        recorder.failures = 5
        queue.submit("a", recorder.write("x", lane=Lane(parallel=1)))

    recorder = play(scenario)
    assert [content for _, content in recorder.done] == ["x"] * 6
    # Full jitter: each delay is below 1 s, doubled with each failure.
    delays = [after[0] - before[0] - 1.0 for before, after in pairwise(recorder.done)]
    assert all(delay <= 2.0**number for number, delay in enumerate(delays))


def test_newer_content_replaces_a_failed_write() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        recorder.failures = 1
        lane = Lane(parallel=1)
        queue.submit("a", recorder.write("old", lane=lane))
        await asyncio.sleep(0.5)
        queue.submit("a", recorder.write("new", lane=lane))

    assert [content for _, content in play(scenario).done] == ["old", "new"]


def test_withdrawn_write_is_dropped() -> None:
    async def scenario(_loop: VirtualLoop, queue: WriteQueue, recorder: Recorder) -> None:
        lane = Lane(parallel=1)
        for name in ("a", "b", "c"):
            queue.submit(f"node/{name}", recorder.write(name, lane=lane))
        queue.submit("other", recorder.write("other", lane=lane))
        await asyncio.sleep(0.5)
        queue.withdraw_others("node/", keep={"node/c"})

    assert [content for _, content in play(scenario).done] == ["a", "c", "other"]
