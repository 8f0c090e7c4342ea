"""Time as the records carry it."""

import time
from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> float:
    """Seconds since the epoch. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def wall_of_kernel_time(usec: int, *, now: float | None = None, uptime: float | None = None) -> float:
    """Wall-clock seconds of a kernel timestamp, right for records that were just printed.

    printk's clock and CLOCK_MONOTONIC start together and drift apart slowly, so the distance is taken at
    the moment of reading (what `dmesg -T` does with the boot time is off by the clock's corrections since).
    Never later than now.
    """
    now = time.time() if now is None else now
    uptime = time.clock_gettime(time.CLOCK_MONOTONIC) if uptime is None else uptime
    return now - max(0.0, uptime - usec / 1e6)


def full_hour(text: str) -> str:
    """The hour an RFC 3339 time in UTC falls into: `2026-01-02T03:00:00Z`."""
    return text[:13] + ":00:00Z"
