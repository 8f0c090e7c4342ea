"""Numbers that several threads add to and the metrics server reads."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


class Counts:
    """Counters by one label. Safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, label: str, number: int = 1) -> None:
        """Count `number` more."""
        with self._lock:
            self._counts[label] = self._counts.get(label, 0) + number

    def read(self) -> dict[str, int]:
        """Return label -> count."""
        with self._lock:
            return dict(self._counts)


def code_of(status: int | None) -> str:
    """Return the label of an HTTP status: the number, `none` for a request without an answer."""
    return str(status) if status else "none"


@dataclass(frozen=True, slots=True)
class Observed:
    """A histogram at one moment."""

    buckets: tuple[tuple[str, int], ...]
    """(upper bound, observations up to it), the last with `+Inf`."""
    total: float
    """Sum of all observations."""


class Histogram:
    """Observations by upper bounds. Safe in any thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; `+Inf` is added."""
        self._bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation; a negative one (a clock was set) counts as 0."""
        value = max(0.0, value)
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._total += value

    def read(self) -> Observed:
        """Return the counts so far, cumulated."""
        with self._lock:
            counts, total = list(self._counts), self._total
        buckets, below = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            below += count
            buckets.append((bound, below))
        return Observed(tuple(buckets), total)
