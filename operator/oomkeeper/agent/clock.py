"""Times in the agent's records."""

import time

from oomkeeper.model.times import format_time_micro, parse_time

rfc3339 = format_time_micro


def parse_rfc3339(text: str) -> float:
    """Parse RFC 3339 into seconds since the epoch. Raises ValueError."""
    seconds = parse_time(text)
    if seconds is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    return seconds


def wall_of_kernel_time(usec: int, *, now: float | None = None, uptime: float | None = None) -> float:
    """Return the wall-clock seconds of a kernel timestamp, right for records that were just printed.

    printk's clock and CLOCK_MONOTONIC start together and drift apart slowly, so the distance is taken at
    the moment of reading (what `dmesg -T` does with the boot time is off by the clock's corrections since).
    Never later than now.
    """
    now = time.time() if now is None else now
    uptime = time.clock_gettime(time.CLOCK_MONOTONIC) if uptime is None else uptime
    return now - max(0.0, uptime - usec / 1e6)


def full_hour(text: str) -> str:
    """Return the hour that an RFC 3339 time in UTC falls into: `2026-01-02T03:00:00Z`."""
    return text[:13] + ":00:00Z"
