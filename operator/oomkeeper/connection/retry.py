"""The one implementation of retry: exponential back-off with full jitter.

Full jitter spreads the attempts of many processes that failed at the same moment evenly over the whole delay
(Exponential Backoff And Jitter, AWS Architecture Blog, 2015). A Retry-After from the server is a minimum: the
jitter is added to it, so that a cluster of agents that was told "10" does not return in the same instant.
"""

import random
import time
from collections.abc import Callable
from email.utils import mktime_tz, parsedate_tz

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0

LONGEST_RETRY_AFTER_SECONDS = 300.0
"""A server that asks for more is asked again after this time."""

Uniform = Callable[[float, float], float]


class Backoff:
    """Delays after consecutive failures of one activity.

    Call `succeeded` only after the activity did what it is for: a watch that the server accepts and closes
    immediately, or a round without any request, is no success.
    """

    def __init__(
        self,
        *,
        first_seconds: float = FIRST_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._uniform = uniform
        self.failures = 0
        """Consecutive failures so far."""

    def failed(self, *, retry_after_seconds: float = 0.0) -> float:
        """Count a failure; return the seconds to wait before the next attempt.

        The delay lies between zero and `first_seconds`, doubled with each failure up to `longest_seconds`,
        and `retry_after_seconds` (what the server asked for) is added.
        """
        ceiling = min(self._first_seconds * 2.0 ** min(self.failures, 32), self._longest_seconds)
        self.failures += 1
        return retry_after_seconds + self._uniform(0.0, ceiling)

    def succeeded(self) -> None:
        """Start again from the shortest delay."""
        self.failures = 0


class KeyedBackoff:
    """Per key, when a failed operation may be tried again. Times are seconds on the caller's clock."""

    def __init__(
        self,
        *,
        first_seconds: float = FIRST_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._options = first_seconds, longest_seconds, uniform
        self._failed: dict[str, tuple[Backoff, float]] = {}

    def when(self, key: str) -> float:
        """Return the time from which the operation may be tried; 0 for one that has not failed."""
        failure = self._failed.get(key)
        return 0.0 if failure is None else failure[1]

    def may(self, key: str, *, now: float) -> bool:
        """Return whether the operation may be tried now."""
        return now >= self.when(key)

    def failed(self, key: str, *, now: float, retry_after_seconds: float = 0.0) -> None:
        """Count a failure of the operation."""
        known = self._failed.get(key)
        backoff = self._new() if known is None else known[0]
        self._failed[key] = (backoff, now + backoff.failed(retry_after_seconds=retry_after_seconds))

    def _new(self) -> Backoff:
        first_seconds, longest_seconds, uniform = self._options
        return Backoff(first_seconds=first_seconds, longest_seconds=longest_seconds, uniform=uniform)

    def succeeded(self, key: str) -> None:
        """Forget the failures of the operation."""
        self._failed.pop(key, None)


def retry_after_seconds(header: str | None) -> float:
    """Return the seconds that a Retry-After header asks for (RFC 9110 10.2.3: a number or a date); bounded.

    0 for None and for a header that is neither.
    """
    if header is None:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        date = parsedate_tz(header)
        if date is None:
            return 0.0
        seconds = mktime_tz(date) - time.time()
    return bounded_retry_after(seconds)


def bounded_retry_after(seconds: float) -> float:
    """Return `seconds` within 0 and the longest that is accepted; 0 for NaN."""
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS) if seconds == seconds else 0.0
