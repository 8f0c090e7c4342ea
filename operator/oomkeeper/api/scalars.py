"""Scalar types of the custom resources: durations, quantities, names, times, counts.

Every string has a maxLength and every count a minimum: the API server estimates the cost of CEL rules from
them, and no object can grow past its bound.
"""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, Field

from oomkeeper.model.times import DURATION, duration_seconds

from .rules import Checked, Rule


class DurationRange(Checked):
    """Annotation: a duration in whole hours, minutes and seconds, from `minimum` to `maximum`."""

    def __init__(self, minimum: str, maximum: str) -> None:
        low, high = duration_seconds(minimum), duration_seconds(maximum)

        def holds(value: str) -> bool:
            try:
                return low <= duration_seconds(value) <= high
            except ValueError:
                return False

        # `matches` and the size stand first: duration() of any other text is an evaluation error with a
        # message of its own.
        super().__init__(
            Rule(
                cel=f"size(self) > 1 && self.matches('{DURATION}') && "
                f"duration(self) >= duration('{minimum}') && duration(self) <= duration('{maximum}')",
                message=f"write a duration from {minimum} to {maximum}, such as 90s, 10m or 1h30m",
                holds=holds,
            )
        )


_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
_SUFFIXES = {"": Decimal(1), "m": Decimal("0.001")} | {
    letter + i: Decimal((1024 if i else 1000) ** power)
    for power, letter in enumerate("KMGTPE", start=1)
    for i in ("", "i")
}
_SUFFIXES["k"] = _SUFFIXES.pop("K")


def quantity_bytes(text: str) -> int:
    """Whole bytes of a resource quantity such as `100Mi`, rounded up as Kubernetes does. Raises
    ValueError."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", text)
    if match is None or match[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is no quantity: write it like 100Mi or 16303428Ki")
    exact = Decimal(match[1]) * _SUFFIXES[match[2]]
    return int(exact.to_integral_value(rounding="ROUND_CEILING"))


def matching(pattern: str, message: str) -> Rule:
    """A rule for a string by an RE2 pattern. Unlike the schema's own `pattern`, it can say what to write."""
    compiled = re.compile(pattern, re.ASCII)  # RE2's classes are ASCII
    return Rule(
        cel=f"self.matches('{quoted(pattern)}')",
        message=message,
        holds=lambda value: compiled.fullmatch(value) is not None,
    )


def quoted(pattern: str) -> str:
    """A pattern as it stands between the quotes of a CEL string."""
    return pattern.replace("\\", "\\\\").replace("'", "\\'")


Quantity = Annotated[
    str,
    Field(max_length=32),
    Checked(matching(_QUANTITY, "write a quantity like 100Mi or 16303428Ki")),
]
"""A resource.Quantity without sign and exponent."""

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DnsLabel = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Checked(
        matching(
            DNS_LABEL, "write lower-case letters, digits and '-', beginning and ending with a letter or digit"
        )
    ),
]
"""RFC 1123 label."""

LABEL_VALUE = r"^([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?$"
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Checked(
        matching(
            LABEL_VALUE,
            "write a label value: letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        )
    ),
]
"""Value of a label, the empty one included."""

LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$"
LABEL_KEY_MESSAGE = (
    "write a label key such as app.kubernetes.io/name: an optional DNS prefix and '/', "
    "then letters, digits, '-', '_' and '.'"
)
LABEL_KEY_SIZE = 317
"""253 characters of prefix, '/', 63 of name."""
LABEL_KEY_RULE = matching(LABEL_KEY, LABEL_KEY_MESSAGE)
LabelKey = Annotated[str, Field(min_length=1, max_length=LABEL_KEY_SIZE), Checked(LABEL_KEY_RULE)]
"""Key of a label."""

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""Name of a Kubernetes object. Its syntax is the API server's business."""
Namespace = Annotated[str, Field(min_length=1, max_length=63)]
Uid = Annotated[str, Field(min_length=1, max_length=128)]
Comm = Annotated[str, Field(max_length=128)]
"""A task's comm: 15 bytes in the kernel, more characters where bytes had to be escaped."""
CgroupPath = Annotated[str, Field(max_length=4096)]
Token = Annotated[str, Field(max_length=64)]
"""A short word: version, reason, boot id."""
Line = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=1024)]
Summary = Annotated[str, Field(max_length=1024)]

Count = Annotated[int, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]
Pid = Annotated[int, Field(ge=0)]
OomScoreAdj = Annotated[int, Field(ge=-1000, le=1000)]

Timestamp = AwareDatetime
"""RFC 3339 with a zone; fractions of a second are kept."""
