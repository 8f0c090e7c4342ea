"""Commands and settings inside advice, marked by backticks: `echo 1 > /proc/sys/vm/compact_memory`."""

from typing import NamedTuple


class TextPart(NamedTuple):
    """A part of a sentence, without its backticks."""

    text: str
    is_code: bool


def code_parts(text: str) -> list[TextPart]:
    """Split a sentence at its backticks. A last backtick without a partner is plain text."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        pieces[-2:] = [f"{pieces[-2]}`{pieces[-1]}"]
    return [TextPart(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece]
