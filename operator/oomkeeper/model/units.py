"""Numbers as people read them: bytes in binary units, shares in per cent, counts with their noun.

Binary units with the IEC suffix: kernel reports print kB and mean KiB, and Kubernetes limits are mostly
written in Mi and Gi.
"""

_STEPS = (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))
_MIB = 1 << 20


def bytes_text(size_bytes: int | None, *, missing: str = "unknown") -> str:
    """Format `536870912` as `512 MiB`: precise enough to compare with a limit, never with an exponent.

    MiB up to 10 GiB, so that a limit of `2048Mi` and a usage of 2047.5 MiB do not both read as 2 GiB; one
    decimal below 100. `missing` stands for None, a size that the log did not print.
    """
    if size_bytes is None:
        return missing
    sign, size = ("-" if size_bytes < 0 else ""), abs(size_bytes)
    for unit, shift in _STEPS:
        least = 10 << shift if shift > 20 else 1 << shift
        if size >= least:
            value = size / (1 << shift)
            text = f"{value:.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0")
            return f"{sign}{text} {unit}"
    return f"{sign}{size} B"


def share_text(share: float | None) -> str:
    """Format `0.953` as `95 %`; empty for None. More than nothing never reads as 0, less than all never as
    100."""
    if share is None:
        return ""
    percent = share * 100
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:.0f} %"


def count_text(count: int, noun: str, plural: str | None = None) -> str:
    """Format `(1, "kill")` as `1 kill` and `(12000, "kill")` as `12,000 kills`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def round_up(size_bytes: int) -> int:
    """Return the next size that people write into a spec: in steps of an eighth or less, at least 1 MiB."""
    step = _MIB
    while step * 16 < size_bytes:
        step *= 2
    return -(-size_bytes // step) * step
