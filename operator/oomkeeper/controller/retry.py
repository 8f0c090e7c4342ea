"""Back-off of failed writes."""


class Retries:
    """When a failed write of an object may be retried: after 1 s, doubling to 64 s, without end."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float]] = {}

    def may(self, key: str, *, now: float) -> bool:
        """Return whether the object may be written."""
        return key not in self._failed or now >= self._failed[key][1]

    def failed(self, key: str, *, now: float) -> None:
        """Record a failure."""
        times = self._failed.get(key, (0, 0.0))[0] + 1
        self._failed[key] = (times, now + 2.0 ** min(times - 1, 6))

    def succeeded(self, key: str) -> None:
        """Record a success."""
        self._failed.pop(key, None)

    def drop_stale(self, *, now: float) -> None:
        """Forget the objects that could have been written in the run of `now` and were not: the write is no
        longer wanted."""
        self._failed = {key: failure for key, failure in self._failed.items() if failure[1] > now}

    def next(self) -> float:
        """Return the earliest moment at which one may be retried; infinity if there is none."""
        return min((moment for _, moment in self._failed.values()), default=float("inf"))
