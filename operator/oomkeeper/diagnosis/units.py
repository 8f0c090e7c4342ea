"""Numbers as people read them."""

_MIB = 1 << 20
_GIB = 1 << 30


def size(number_bytes: int) -> str:
    """`512 KiB`, `80 MiB`, `1.5 MiB`, `12.3 GiB`: three figures are enough to compare with a limit."""
    if number_bytes < 0:
        return "-" + size(-number_bytes)
    if number_bytes < _MIB:
        return f"{-(-number_bytes // 1024)} KiB"
    if number_bytes < 10 * _GIB:
        mib = number_bytes / _MIB
        return f"{mib:.0f} MiB" if mib >= 100 or mib == int(mib) else f"{mib:.1f} MiB"
    return f"{number_bytes / _GIB:.1f} GiB"


def percent(share: float) -> str:
    """`37 %`, `0.4 %`."""
    value = share * 100
    return f"{value:.0f} %" if value >= 1 or value == 0 else f"{value:.1f} %"


def round_up(number_bytes: int) -> int:
    """The next size that somebody would write into a spec: steps of an eighth or less, at least 1 MiB."""
    step = _MIB
    while step * 16 < number_bytes:
        step *= 2
    return -(-number_bytes // step) * step
