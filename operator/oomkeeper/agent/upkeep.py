"""What the loop does to its state from time to time: prove that it can be written, return to the disk, forget
old rows."""

import math
import time
from collections.abc import Callable

from .clock import rfc3339
from .store import Store

PROBE_SECONDS = 30.0
"""Between two writes that prove that the disk takes them."""
RETURN_SECONDS = 10.0
"""Between two attempts to return to the disk."""
PRUNE_SECONDS = 3600.0
KEEP_SECONDS = 7 * 86400.0
"""As long as an incident without a new kill lives in the cluster."""
CLOCK_TOLERANCE_SECONDS = 600.0
"""Nothing is forgotten after the clock was set by more: times cannot be compared then."""


class StateReloadedError(Exception):
    """The state is another one now: what works on it must start anew."""


class Upkeep:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wall = wall
        self._probe_at = -math.inf
        self._return_at = clock() + RETURN_SECONDS
        self._prune_at = clock() + PRUNE_SECONDS
        self._offset = wall() - clock()

    def tick(self) -> None:
        """Do what is due. Raises StateUnwritableError, and StateReloadedError."""
        now = self._clock()
        if self._store.problem is not None:
            if now >= self._return_at:
                self._return_at = now + RETURN_SECONDS
                if not self._store.return_to_disk():
                    raise StateReloadedError
            return
        if now >= self._probe_at:
            self._probe_at = now + PROBE_SECONDS
            self._store.probe(rfc3339(self._wall()))
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            offset = self._wall() - now
            if abs(offset - self._offset) < CLOCK_TOLERANCE_SECONDS:
                self._store.prune(before=rfc3339(self._wall() - KEEP_SECONDS))
            self._offset = offset
