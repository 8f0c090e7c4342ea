"""Wall-clock times as logs print them, converted to RFC 3339 if they have a year.

    2026-11-23T09:09:20,096069+00:00    dmesg --time-format iso  -> 2026-11-23T09:09:20.096069+00:00
    2026-11-23T09:09:20+0100            journalctl -o short-iso  -> 2026-11-23T09:09:20+01:00
    Mon 2026-11-23 09:09:20 UTC         journalctl -o short-full -> 2026-11-23T09:09:20+00:00
    Mon Nov 23 09:09:20 2026            dmesg -T, any locale     -> 2026-11-23T09:09:20     (local time)
    1795425560.096069                   journalctl -o short-unix -> 2026-11-23T09:19:20.096069+00:00
    Nov 23 09:09:20                     syslog                   -> unchanged               (no year)

A time without a zone is the clock of the machine that wrote the log and gets no zone here.
"""

import re
from functools import lru_cache

from ...lazy import lazy

_ISO = lazy(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_CLOCK = lazy(r"\b(\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\b")
_UNIX = lazy(r"\d{10}\.\d{6}\Z", re.ASCII)
_YEAR = lazy(r"\b(\d{4})\b")
_DAY = lazy(r"\b(\d{1,2})\b")
_NUMBERED_MONTH = lazy("(\\d{1,2})(?:月|월)")

# Abbreviated month names of the most frequent locales: glibc's localedata, LC_TIME abmon, without dots.
_MONTHS = (
    "jan jän ene sty led led янв oca gen janv jan",
    "feb fév févr lut úno фев şub fev feb",
    "mar mär mrz mars mrt már bře мар",
    "apr avr abr kwi dub апр nis avril",
    "may mai maj mei mag maio květ kvě мая май",
    "jun juin giu cze haz juni čen июн",
    "jul juil lug lip tem juli čec июл",
    "aug août ago sie ağu srp авг aoû",
    "sep set wrz eyl sept zář сен",
    "oct okt ott paź eki out říj окт",
    "nov lis kas noj ноя",
    "dec dez déc dic gru ara des pro дек",
)
_MONTH_NUMBER = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_WORD = lazy(r"[^\W\d_]+")


WORD = rb"[A-Za-z\x80-\xff]{2,16}+\.?"
"""Pattern of the abbreviated name of a weekday or month in any language, in UTF-8. Possessive: a part of a
word is none, and many lines begin with a word that is none either."""
MONTH = rb"(?:" + WORD + rb"|\d{1,2}(?:\xe6\x9c\x88|\xec\x9b\x94))"
"""Pattern of a month: a name, or a number with the Chinese, Japanese or Korean word for month."""


@lru_cache(maxsize=64)
def normalise(raw: bytes) -> str:
    """Return the time as described above; unchanged if it is not understood. Most lines of a report have the
    same time, hence the cache."""
    text = raw.decode("utf-8", "replace").strip()
    if _UNIX.match(text):
        return from_realtime_usec(int(text.replace(".", "")))
    if found := _ISO.search(text):
        date, clock, fraction, zone = found.groups()
        return f"{date}T{clock}" + (f".{fraction}" if fraction else "") + _offset(zone)
    clock_found = _CLOCK.search(text)
    year_found = _YEAR.search(text)
    if not (clock_found and year_found):
        return text
    rest = text.replace(clock_found[0], " ", 1).replace(year_found[0], " ", 1)
    month = _month(rest)
    day = _DAY.search(_NUMBERED_MONTH.sub(" ", rest))
    if month is None or day is None:
        return text
    fraction = f".{clock_found[2]}" if clock_found[2] else ""
    return f"{year_found[1]}-{month:02d}-{int(day[1]):02d}T{clock_found[1]}{fraction}"


def from_realtime_usec(usec: int) -> str:
    """Return RFC 3339 in UTC for microseconds since 1970 (journald's __REALTIME_TIMESTAMP). Raises
    OverflowError, ValueError."""
    from datetime import UTC, datetime, timedelta  # costs a millisecond that other formats need not pay

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=usec)).isoformat(
        timespec="microseconds"
    )


def _offset(zone: str | None) -> str:
    if zone is None:
        return ""
    if zone in ("Z", "UTC", "GMT"):
        return "+00:00"
    return zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"


def _month(text: str) -> int | None:
    if found := _NUMBERED_MONTH.search(text):
        return int(found[1]) if 1 <= int(found[1]) <= 12 else None
    # The weekday comes first and may look like a month of another language (mar. is mardi): the last match
    # wins.
    numbers = [_MONTH_NUMBER[word] for word in _WORD.findall(text.lower()) if word in _MONTH_NUMBER]
    return numbers[-1] if numbers else None
