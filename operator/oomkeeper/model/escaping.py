"""Make text that a process chose safe for people and terminals.

A task's comm is 15 bytes of whatever the process wrote there (prctl PR_SET_NAME, fs/proc/base.c comm_write),
and a cgroup's name any bytes but `/` and newline. Printed unchanged, they could move the cursor, change
colours, set the window title or reverse the text direction. Everything that str.isprintable() rejects is
therefore printed as an escape, as /dev/kmsg does (`\\x1b`).
"""


def printable(text: str) -> str:
    """Escape each control, format, surrogate, private or unassigned character as `\\xNN`, `\\uNNNN` or
    `\\UNNNNNNNN`.

    A byte that was not valid UTF-8 (decoded with surrogateescape) becomes that byte, `\\xNN`. The result
    encodes to UTF-8 and has no line break. Backslashes are kept: systemd's own unit names contain them
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
