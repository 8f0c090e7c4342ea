"""`python -m tests.soak.stepped_clock FILE ARGUMENTS`: oomkeeper on a clock that can be set.

The machine's own clock belongs to everybody on it. The seconds in FILE are added to what time.time() returns;
FILE may be changed at any time. CLOCK_MONOTONIC and CLOCK_BOOTTIME are the kernel's.
"""

import sys
import time
from pathlib import Path

_offset_file = Path(sys.argv.pop(1))
_real = time.time


def _stepped() -> float:
    return _real() + float(_offset_file.read_text() or 0)


time.time = _stepped
# Only now: its modules bind time.time when they are imported.
from oomkeeper.cli.main import main  # noqa: E402

sys.exit(main())
