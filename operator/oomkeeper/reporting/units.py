"""Numbers as people read them: bytes in binary units, shares in per cent, counts with their noun.

Binary units with the IEC suffix, because both ends speak them: kernel reports print kB and mean KiB, and
Kubernetes limits are mostly written in Mi and Gi.
"""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def bytes_text(size_bytes: int | None, *, missing: str = "unknown") -> str:
    """`536870912` -> `512 MiB`: three significant digits, no trailing zeros, never in an exponent.

    A size that is a whole number of the unit prints without decimals, so that a limit reads as it was
    written. `missing` stands for None: a size that the log did not print.
    """
    if size_bytes is None:
        return missing
    sign, size, step = ("-" if size_bytes < 0 else ""), abs(size_bytes), 0
    while step < len(_UNITS) - 1 and size >= 1 << (10 * (step + 1)):
        step += 1
    value = size / (1 << (10 * step))
    # 1023.7 MiB must not round to "1024 MiB": the next unit says it.
    if round(value) >= 1024 and step < len(_UNITS) - 1:
        value, step = 1.0, step + 1
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{sign}{text} {_UNITS[step]}"


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
