"""The strings inside a JSON document that may be log lines: cloud logging, Loki, docker json-file, Kubernetes
events."""

from collections.abc import Iterator
from typing import NamedTuple

from ..formats.json_text import encode

_MOST_STRINGS = 20_000


class Text(NamedTuple):
    """A string and the name of the member that holds it."""

    key: str
    text: bytes


class Entry(NamedTuple):
    """A journal entry inside the document."""

    fields: dict[str, object]


def strings_of(document: object) -> Iterator[Text | Entry]:
    """Yield the strings in the order of the document, and journal entries as a whole. The lines of a Loki
    stream come in the order of their time."""
    # A stack: a document may be nested deeper than Python's calls.
    stack: list[tuple[str, object]] = [("", document)]
    for _ in range(_MOST_STRINGS):
        if not stack:
            return
        key, value = stack.pop()
        if isinstance(value, str):
            yield Text(key, encode(value))
        elif isinstance(value, dict):
            if "MESSAGE" in value and key:
                yield Entry(value)
            else:
                stack += [(str(name), item) for name, item in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(key, item) for item in reversed(_in_time(value))]


def _in_time(values: list[object]) -> list[object]:
    """Return the (time in nanoseconds, line) pairs of a Loki stream in order; Loki sends the newest first."""
    if len(values) > 1 and all(
        isinstance(pair, list) and len(pair) >= 2 and isinstance(pair[0], str) and pair[0].isdigit()
        for pair in values
    ):
        return sorted(values, key=lambda pair: pair[0])  # type: ignore[index]
    return values
