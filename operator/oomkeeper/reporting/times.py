"""RFC 3339, as the API spells time."""

from datetime import UTC, datetime


def parse_time(text: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def format_time(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time prints."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
