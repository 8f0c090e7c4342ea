"""How one adjustment stands on this node, as OOMNode.status shows it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

RECOUNT_SECONDS = 300.0
"""Counts of processes that alone have changed are shown again after this long: containers fork all the time,
and each new number would be a write to the API server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentStatus:
    """One entry of OOMNode.status.oomScoreAdjustments. Counts are of processes, but for `pods`."""

    policy: str
    name: str
    value: int
    mode: str
    state: str
    """InSync, Drifted, Pending, Refused, Audited."""
    reason: str | None = None
    message: str | None = None
    pods: int | None = None
    """Pods with a container that the entry names; None where it is not about pods."""
    in_force: int = 0
    """Named, and has the value, of whichever entry."""
    failed: int = 0
    """Named, and has another value although it should not."""
    overridden: int = 0
    """Named, and given another value by an entry of higher standing."""
    overridden_by: str | None = None
    """One of those entries, as `<policy>/<name>`."""
    differing: int = 0
    """mode Audit: named, and has another value."""


class Steady:
    """Shows what matters at once, and mere counts from time to time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: tuple[AdjustmentStatus, ...] = ()
        self._shown_at = 0.0

    def show(self, views: tuple[AdjustmentStatus, ...]) -> tuple[AdjustmentStatus, ...]:
        """The views, or those shown last where they say the same with other numbers."""
        now = self._clock()
        same = tuple(map(_gist, views)) == tuple(map(_gist, self._shown))
        if not same or now - self._shown_at >= RECOUNT_SECONDS:
            self._shown, self._shown_at = views, now
        return self._shown


def _gist(view: AdjustmentStatus) -> AdjustmentStatus:
    counts = ("in_force", "failed", "overridden", "differing")
    return replace(view, **{count: min(1, getattr(view, count)) for count in counts})
