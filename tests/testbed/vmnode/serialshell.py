"""Commands in the guest, by the shell on its second serial port."""

from __future__ import annotations

import re
import secrets
import socket
import time
from pathlib import Path

from ..errors import TestbedError


def guest_sh(path: Path, command: str, *, seconds: float) -> str:
    """Run a shell command, one line; gives its stdout and stderr.

    Raises TestbedError when it fails, or does not answer in time: the guest is rebooting, or out of memory.
    """
    mark = secrets.token_hex(6)
    # The shell echoes what it reads: the marks are put together by it, so that only its answer has them.
    line = f"echo '{mark}''>'; ( {command} ) 2>&1; echo '{mark}''<'$?\n"
    expected = re.compile(rf"{mark}>\n(.*?){mark}<(\d+)", re.DOTALL)
    deadline = time.monotonic() + seconds
    said = ""
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(0.5)
        port.connect(str(path))
        port.sendall(line.encode())
        while time.monotonic() < deadline:
            try:
                data = port.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                break
            said += data.decode(errors="replace").replace("\r", "")
            found = expected.search(said)
            if found is not None:
                if found[2] != "0":
                    raise TestbedError(f"in the guest, {command!r}: exit {found[2]}: {found[1].strip()}")
                return found[1]
    raise TestbedError(f"in the guest, {command!r}: no answer within {seconds:.0f} s: {said[-200:]!r}")
