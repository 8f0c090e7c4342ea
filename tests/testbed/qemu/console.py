"""What a guest's console says of how it is: fine, ended by an OOM panic as asked for, or broken."""

from __future__ import annotations

import re
from pathlib import Path

_PANIC = re.compile(r"Kernel panic - not syncing: ([^\r\n]*)")
_OOM_PANIC = re.compile(r"Out of memory|System is deadlocked on memory")
# Under QEMU 7.2's emulation kernel 6.12 oopses in some boots; nothing that a lab case does makes one.
_OOPS = re.compile(
    r"BUG: (?:unable to handle|kernel NULL|scheduling while|Bad page|soft lockup)[^\r\n]*"
    r"|Oops: [^\r\n]*|general protection fault[^\r\n]*|kernel BUG at [^\r\n]*|invalid opcode: [^\r\n]*"
    r"|rcu: INFO: rcu_\w+ (?:self-)?detected stalls?[^\r\n]*|unable to mount root fs[^\r\n]*"
)


def read(path: Path) -> str:
    """The console's text so far; empty when QEMU has not begun."""
    return path.read_bytes().decode(errors="replace").replace("\r", "") if path.exists() else ""


def oom_panic(text: str) -> str | None:
    """What follows `Kernel panic - not syncing: ` where memory was the reason."""
    for match in _PANIC.finditer(text):
        if _OOM_PANIC.search(match[1]):
            return match[1].strip()
    return None


def crash(text: str) -> str | None:
    """The first line that only a broken kernel, or a broken emulation of its machine, prints."""
    oops = _OOPS.search(text)
    if oops is not None:
        return oops[0].strip()
    for match in _PANIC.finditer(text):
        if not _OOM_PANIC.search(match[1]):
            return match[0].strip()
    return None
