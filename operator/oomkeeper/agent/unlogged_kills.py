"""Kills that only the trace has, kept over kill -9.

What is read from the trace is gone from it. A kill whose line is in the log is read from there again; one
whose line was overwritten is in the state from the moment it was read, until the account is settled."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from oomkeeper.kernel.tracefs.events import VictimMarked

from .clock import parse_rfc3339, rfc3339, wall_of_kernel_time
from .kill_of_trace import traced_kill_id
from .records import UNLOGGED_NOTE, UnloggedNote
from .store import Store
from .tracing import KernelTracing

STORE_SECONDS = 1.0
"""Between two writes."""
SAME_KILL_SECONDS = 10.0
"""A process number is not given to another process so soon."""


class UnloggedKillsStore:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        boot_id: str,
        tracing: KernelTracing,
        lost: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`lost`: log records that are known to be lost. Gives the trace what an earlier run has stored."""
        self._store = store
        self._boot_id = boot_id
        self._tracing = tracing
        self._clock = clock
        self._wall = wall
        self._lost = lost
        self._write_at = math.inf
        """Infinite while no log record was lost since the account was settled."""
        noted = store.note(UNLOGGED_NOTE, UnloggedNote)
        if noted is not None and noted.boot == boot_id:
            tracing.restore_unlogged(
                kill for kill in noted.kills if store.kill(traced_kill_id(boot_id, kill.time_ns)) is None
            )
            self._write_at = -math.inf

    def tick(self, *, lost: int) -> None:
        """Store what is new; `lost`: log records lost until now."""
        if lost > self._lost:
            self._lost, self._write_at = lost, -math.inf
        now = self._clock()
        if now >= self._write_at:
            self._store.put_note(
                UNLOGGED_NOTE, UnloggedNote(boot=self._boot_id, kills=self._tracing.unlogged)
            )
            self._write_at = now + STORE_SECONDS

    def recorded(self, kills: Sequence[VictimMarked], skew_ns: int = 0) -> set[VictimMarked]:
        """Return those of the kills that the state has a record of. `skew_ns`: how much the trace's clock is
        ahead of the log's, which dates records."""
        if not kills:
            return set()
        now, uptime = self._wall(), time.clock_gettime(time.CLOCK_MONOTONIC)
        times = {
            kill: wall_of_kernel_time((kill.time_ns - skew_ns) // 1000, now=now, uptime=uptime)
            for kill in kills
        }
        known = defaultdict(list)
        oldest = min(times.values()) - SAME_KILL_SECONDS
        for pid, at in self._store.victims_since(rfc3339(oldest)):
            known[pid].append(parse_rfc3339(at))
        return {
            kill
            for kill, at in times.items()
            if any(abs(at - one) < SAME_KILL_SECONDS for one in known.get(kill.pid, ()))
        }

    def settled(self) -> None:
        """Forget them: each kill until now is recorded, or known to be missing."""
        if self._write_at < math.inf:
            self._store.drop_note(UNLOGGED_NOTE)
            self._write_at = math.inf
