"""How writers of logs spell bytes that would break a line. Decoding never starts a new record."""

import re

from .lazy import lazy

_HEX = lazy(rb"\\x([0-9a-f]{2})")
_OCTAL = lazy(rb"#(0[0-3][0-7]|177)")


def decode_kmsg(text: bytes) -> bytes:
    r"""Return `text` from /dev/kmsg with every `\xHH` decoded.

    The kernel writes every byte below space, every byte above `~`, and the backslash itself that way
    (kernel/printk/printk.c, append_char()), so the result is exact.
    """
    return _HEX.sub(_byte_of_hex, text)


def decode_dmesg(text: bytes) -> bytes:
    r"""Return `text` from dmesg with the `\xHH` of unprintable bytes decoded.

    dmesg leaves a backslash alone, so a comm with the four letters `\x1b` also becomes that one byte: dmesg
    prints both the same way.
    """
    return _HEX.sub(_unprintable_byte_of_hex, text)


def decode_rsyslog(text: bytes) -> bytes:
    """Return `text` from rsyslog with its `#ooo` (octal) control characters decoded.

    rsyslog ($EscapeControlCharactersOnReceive) leaves `#` alone, so the same ambiguity exists here.
    """
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8),)), text)


def _byte_of_hex(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[1], 16),))


def _unprintable_byte_of_hex(found: re.Match[bytes]) -> bytes:
    value = int(found[1], 16)
    return bytes((value,)) if value < 0x20 or value >= 0x7F else found[0]
