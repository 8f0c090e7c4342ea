"""Coalesce changes of the process counts in OOMNode.status.oomScoreAdjustments."""

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from oomkeeper.resources.oomnode import ObservedAdjustment

RECOUNT_SECONDS = 300.0
"""Counts of processes that alone have changed are shown again after this time: containers fork continuously,
and each new number would be a write to the API server."""


class StatusCoalescer:
    """Shows changes of state immediately, and changes of counts from time to time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: tuple[ObservedAdjustment, ...] = ()
        self._shown_at = 0.0

    def show(self, statuses: Sequence[ObservedAdjustment]) -> tuple[ObservedAdjustment, ...]:
        """Return the statuses, or those shown last where only counts differ."""
        now = self._clock()
        same = [*map(_without_counts, statuses)] == [*map(_without_counts, self._shown)]
        if not same or now - self._shown_at >= RECOUNT_SECONDS:
            self._shown, self._shown_at = tuple(statuses), now
        return self._shown


def _without_counts(status: ObservedAdjustment) -> ObservedAdjustment:
    """Return the status with each count reduced to none or some."""
    return replace(
        status,
        in_force=_some(status.in_force),
        failed=_some(status.failed),
        overridden=_some(status.overridden),
        differing=_some(status.differing),
    )


def _some(count: int | None) -> int:
    return min(1, count or 0)
