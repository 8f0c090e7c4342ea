"""How writers of logs spell bytes that would break a line. Decoding one never begins a new record."""

import re

from ..lazy import lazy

_HEX = lazy(rb"\\x([0-9a-f]{2})")
_OCTAL = lazy(rb"#(0[0-3][0-7]|177)")


def _hex(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[1], 16),))


def _hex_unprintable(found: re.Match[bytes]) -> bytes:
    value = int(found[1], 16)
    return bytes((value,)) if value < 0x20 or value >= 0x7F else found[0]


def decode_kmsg(text: bytes) -> bytes:
    r"""/dev/kmsg: `\xHH` for every byte below space, above `~`, and the backslash itself (printk.c
    append_char), so exact."""
    return _HEX.sub(_hex, text)


def decode_hex(text: bytes) -> bytes:
    r"""dmesg: `\xHH` for what the locale cannot print. It leaves the backslash alone, so a comm that spells
    `\x1b` out in letters comes back as that byte: the two are one text to dmesg."""
    return _HEX.sub(_hex_unprintable, text)


def decode_octal(text: bytes) -> bytes:
    """rsyslog: `#ooo` for control characters ($EscapeControlCharactersOnReceive). It leaves `#` alone, with
    the same loss."""
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), text)
