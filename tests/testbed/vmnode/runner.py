"""Keeps a virtual machine running over its resets: `python -m tests.testbed.vmnode.runner RUN_FOLDER`.

QEMU ends when the guest resets, and a new one takes its place: under emulation that is quicker than a reset.
Started by the testbed's supervisor; ends with it, and QEMU with us.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from ..processes import die_with_parent

COMMAND_FILE = "qemu.json"
_SHORT_SECONDS = 5.0
_MOST_SHORT = 3


def main(folder: Path) -> int:
    """Run QEMU until it fails, or ends immediately three times in a row; return its exit code."""
    command = json.loads((folder / COMMAND_FILE).read_text())
    short = 0
    while True:
        began = time.monotonic()
        print(f"starting QEMU at {time.strftime('%H:%M:%S')}", flush=True)
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, check=False, preexec_fn=die_with_parent
        ).returncode
        print(f"QEMU ended with {code} after {time.monotonic() - began:.0f} s", flush=True)
        short = short + 1 if time.monotonic() - began < _SHORT_SECONDS else 0
        if code != 0 or short >= _MOST_SHORT:
            return code or 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
