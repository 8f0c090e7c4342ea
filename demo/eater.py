"""The program of the demo's first part: takes memory without end after a signal, and is named as the file
it is run from.

Its argument is the MiB to begin with. A line on stdin is the start; the end of stdin ends it, so that it
never outlives the demo.
"""

import select
import sys
from pathlib import Path

MIB = 1 << 20
STEP_SECONDS = 0.12
"""Time between two MiB: slow enough for the demo to stop the others when one is killed."""


def main() -> None:
    Path("/proc/self/comm").write_text(Path(sys.argv[0]).name)
    # Not bytearray(n): its zero pages would not be touched, and only touched pages count.
    taken = [b"x" * MIB for _ in range(int(sys.argv[1]))]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        return
    while not select.select([sys.stdin], [], [], STEP_SECONDS)[0]:
        taken.append(b"x" * MIB)


if __name__ == "__main__":
    main()
