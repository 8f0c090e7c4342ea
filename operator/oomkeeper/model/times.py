"""Times and durations as the API, the log and people write them: RFC 3339 in UTC (metav1.Time), 1h30m, and
seconds since boot."""

import re
from datetime import UTC, datetime

from .units import count_text

HOUR_SECONDS = 3600
DURATION = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
"""Pattern of a duration in whole hours, minutes and seconds."""
_SECONDS = {"h": HOUR_SECONDS, "m": 60, "s": 1}


def duration_seconds(text: str) -> int:
    """Return the seconds of `24h`, `1h30m`, `90s`. Raises ValueError for anything else."""
    if not text or re.fullmatch(DURATION, text) is None:
        raise ValueError(f"{text!r} is no duration: write it like 90s, 10m or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([hms])", text))


def parse_time(text: object) -> float | None:
    """Parse RFC 3339 into seconds since the epoch; None for anything else. Without an offset it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def full_hour(seconds: float) -> int:
    """Return the beginning of the hour, in seconds since the epoch."""
    return int(seconds // HOUR_SECONDS * HOUR_SECONDS)


def format_time(seconds: float) -> str:
    """Format seconds since the epoch as RFC 3339 in UTC with whole seconds, as metav1.Time prints."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19] + "Z"


def format_time_micro(seconds: float) -> str:
    """Format the same with microseconds, as metav1.MicroTime prints."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def uptime_text(seconds_since_boot: str) -> str:
    """Format `+2919920.414131` as `33 days 19:05:20`; anything else is returned unchanged."""
    try:
        seconds = int(float(seconds_since_boot))
    except (ValueError, OverflowError):
        return seconds_since_boot
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{count_text(days, 'day')} {clock}" if days else clock
