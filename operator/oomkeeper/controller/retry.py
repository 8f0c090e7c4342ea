"""When the reconciler runs: soon after a change, once for many, and never so often that it does nothing
else."""

import asyncio

_SOON_SECONDS = 0.05
_BUSY_FACTOR = 4.0


class Bell:
    """Coalesces changes. Whoever rings does not wait."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._rung.set()

    async def wait(self, *, at_most: float) -> None:
        """Until it has rung (then a moment longer, for company), or `at_most` seconds have passed."""
        try:
            await asyncio.wait_for(self._rung.wait(), timeout=max(at_most, 0.0))
        except TimeoutError:
            return
        await asyncio.sleep(_SOON_SECONDS)

    def silence(self) -> None:
        """What rang is being dealt with; what rings from now on is new."""
        self._rung.clear()


def rest_seconds(*, spent: float) -> float:
    """Pause after a run that took `spent` seconds: at most a fifth of one core goes into recomputing."""
    return spent * _BUSY_FACTOR


class Retries:
    """Per object, when a failed write may be tried again: 1 s, doubling to 64 s, for ever."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float]] = {}

    def may(self, key: str, *, now: float) -> bool:
        """Whether a write to the object may be tried."""
        return key not in self._failed or now >= self._failed[key][1]

    def failed(self, key: str, *, now: float) -> None:
        """It went wrong (again)."""
        times = self._failed.get(key, (0, 0.0))[0] + 1
        self._failed[key] = (times, now + 2.0 ** min(times - 1, 6))

    def succeeded(self, key: str) -> None:
        """It went well."""
        self._failed.pop(key, None)

    def drop_stale(self, *, now: float) -> None:
        """Forget what could have been tried in the run of `now` and was not: nobody wants it any more."""
        self._failed = {key: failure for key, failure in self._failed.items() if failure[1] > now}

    def next(self) -> float:
        """The earliest moment at which one may be tried; infinite without any."""
        return min((moment for _, moment in self._failed.values()), default=float("inf"))
