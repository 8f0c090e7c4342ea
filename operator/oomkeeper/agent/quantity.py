"""Quantities of the Kubernetes API (k8s.io/apimachinery/pkg/api/resource) as whole bytes."""

import math
import re
from fractions import Fraction

from oomkeeper.model.pod_limits import MAX_BYTES

_MAX_LENGTH = 64
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3}|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
_FACTORS = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{letter + "i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}  # fmt: skip


def quantity_bytes(text: str | int | None) -> int | None:
    """Return a resource.Quantity in bytes, rounded up, at most MAX_BYTES (the API server caps it as well);
    None for None and for what is no quantity."""
    if text is None or len(str(text)) > _MAX_LENGTH:
        return None
    match = _QUANTITY.fullmatch(str(text).strip())
    if not match:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    factor = _FACTORS.get(suffix)
    # `1E` is exa, `1E3` an exponent.
    size = math.ceil(number * (Fraction(10) ** int(suffix[1:]) if factor is None else factor))
    return min(size, MAX_BYTES)
