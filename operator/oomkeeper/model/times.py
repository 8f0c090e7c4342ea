"""Times as the API, the log and people write them: RFC 3339 in UTC (metav1.Time), and seconds since boot."""

from datetime import UTC, datetime


def parse_time(text: object) -> float | None:
    """Parse RFC 3339 into seconds since the epoch; None for anything else. Without an offset it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def format_time(seconds: float) -> str:
    """Format seconds since the epoch as RFC 3339 in UTC with whole seconds, as metav1.Time prints."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_time_micro(seconds: float) -> str:
    """Format the same with microseconds, as metav1.MicroTime prints."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
