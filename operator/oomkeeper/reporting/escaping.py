"""Text that a process chose, made harmless for people and terminals.

A task's comm is 15 bytes of whatever the process put there (prctl PR_SET_NAME, fs/proc/base.c comm_write),
and a cgroup's name any bytes but `/` and newline. Printed as they are they could move the cursor, recolour
the screen, retitle the window or turn the line's direction round; so everything that str.isprintable()
refuses is written out as an escape, the way that /dev/kmsg itself does it (`\\x1b`).
"""


def printable(text: str) -> str:
    """`text` with each control, format, surrogate, private or unassigned character as `\\xNN`, `\\uNNNN` or
    `\\UNNNNNNNN`.

    A byte that was no UTF-8 (decoded with surrogateescape) comes out as that byte, `\\xNN`. The result
    encodes to UTF-8 and holds no line break. A backslash stays as it is: systemd's own unit names have them
    (`dev-disk\\x2d1`).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
