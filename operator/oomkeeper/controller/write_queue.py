"""Writes to the API server: at most one at a time per object, spaced, retried, and in separate lanes.

The reconciler submits the content that an object should have whenever it differs; only the latest content
counts. Writes in different lanes do not wait for each other: while 5,000 OOMNodes are written, a kill's Event
takes well under a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger

from .apiclient import APIError

_log = get_logger(__name__)

LONGEST_RETRY_SECONDS = 64.0
_TIMER_SECONDS = 0.001
"""A timer may fire this much too early; waiting for the rest would only spin."""


class Lane:
    """A number of writes that may be under way at the same time."""

    def __init__(self, *, parallel: int) -> None:
        self.slots = asyncio.Semaphore(parallel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write of one object. Two writes with equal content are the same write."""

    content: object
    run: Callable[[], Awaitable[None]]
    """Performs the write. Raises APIError."""
    lane: Lane
    interval_seconds: float = 0.0
    """Shortest time from the start of this write to the start of the object's next one."""


def _backoff() -> Backoff:
    return Backoff(longest_seconds=LONGEST_RETRY_SECONDS)


@dataclass(slots=True)
class _Object:
    pending: Write | None = None
    active: Write | None = None
    task: asyncio.Task[None] | None = None
    not_before: float = 0.0
    backoff: Backoff = field(default_factory=_backoff)


class WriteQueue:
    """Pending writes by object."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock`: seconds, monotonic."""
        self._clock = clock
        self._objects: dict[str, _Object] = {}

    def submit(self, key: str, write: Write) -> None:
        """Write an object as soon as its interval, its back-off and its lane allow. Never waits."""
        found = self._objects.setdefault(key, _Object())
        if found.pending is not None and found.pending.content == write.content:
            return
        if found.pending is None and found.active is not None and found.active.content == write.content:
            return
        found.pending = write
        if found.task is None:
            found.task = asyncio.create_task(self._work(key, found), name=f"write {key}")

    def withdraw(self, key: str) -> None:
        """Drop a pending write that is no longer wanted. A write under way is finished."""
        if found := self._objects.get(key):
            found.pending = None

    def withdraw_others(self, prefix: str, *, keep: Collection[str]) -> None:
        """Drop pending writes of objects whose key starts with `prefix` and is not in `keep`: they are no
        longer wanted. A write under way is finished."""
        now = self._clock()
        for key, found in list(self._objects.items()):
            if key.startswith(prefix) and key not in keep:
                found.pending = None
                if found.task is None and found.not_before <= now:
                    del self._objects[key]

    def pending(self, prefix: str = "") -> int:
        """Return the number of objects with a write that is pending or under way, and whose key starts with
        `prefix`."""
        return sum(
            found.pending is not None or found.active is not None
            for key, found in self._objects.items()
            if key.startswith(prefix)
        )

    async def close(self) -> None:
        """Cancel everything."""
        tasks = [found.task for found in self._objects.values() if found.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._objects.clear()

    async def _work(self, key: str, found: _Object) -> None:
        try:
            while found.pending is not None:
                delay = found.not_before - self._clock()
                if delay > _TIMER_SECONDS:
                    await asyncio.sleep(delay)
                    continue
                async with found.pending.lane.slots:
                    # While waiting for the slot the write may have been replaced or withdrawn.
                    found.active, found.pending = found.pending, None
                    if found.active is not None:
                        await self._run(key, found, found.active)
        finally:
            found.task = None

    async def _run(self, key: str, found: _Object, write: Write) -> None:
        started = self._clock()
        try:
            await write.run()
        except APIError as error:
            delay = found.backoff.failed(retry_after_seconds=error.retry_after_seconds)
            found.not_before = self._clock() + delay
            found.pending = found.pending or write
            _log.warning("write failed", object=key, error=error, retry_seconds=delay)
        else:
            found.backoff.succeeded()
            found.not_before = started + write.interval_seconds
        finally:
            found.active = None
