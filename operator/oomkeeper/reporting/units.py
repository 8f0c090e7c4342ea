"""Numbers as people read them: bytes in binary units, shares in per cent, counts with their noun.

Binary units with the IEC suffix, because both ends speak them: kernel reports print kB and mean KiB, and
Kubernetes limits are mostly written in Mi and Gi.
"""

_STEPS = (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))


def bytes_text(size_bytes: int | None, *, missing: str = "unknown") -> str:
    """`536870912` -> `512 MiB`: what is enough to compare with a limit, never in an exponent.

    MiB up to 10 GiB, as a limit of `2048Mi` and a usage of 2047.5 MiB should not both read as 2 GiB; one
    decimal below 100. `missing` stands for None: a size that the log did not print.
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
    """`0.953` -> `95 %`. What is more than nothing never reads as 0, and less than all never as 100."""
    if share is None:
        return ""
    percent = share * 100
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:.0f} %"


def count_text(count: int, noun: str, plural: str | None = None) -> str:
    """`(1, "kill")` -> `1 kill`; `(12000, "kill")` -> `12,000 kills`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
