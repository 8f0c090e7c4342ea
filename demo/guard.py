"""Restore the machine when a part of the demo ends, by SIGKILL too: `python -m demo.guard FOLDER`.

A process of its own, in its own session: whatever ends the demo, the kernel closes the pipe on our stdin.
Until then each line there is a sysctl to restore, `vm.oom_dump_tasks=1`. Prints what was left
to restore, which is nothing after a normal run.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy

from . import memcg, sysctls
from .narration import Narrator
from .running import CHECKOUT

_AGENT_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The guard of one part of the demo."""

    folder: Path
    """For files of the part; removed at its end."""
    pipe: IO[str]

    def hold(self, before: Mapping[str, int]) -> None:
        """Restore these values at the end."""
        self.pipe.writelines(f"{key}={value}\n" for key, value in before.items())
        self.pipe.flush()


@contextmanager
def guarded(tell: Narrator) -> Iterator[Guard]:
    """Run a guard until the block ends, and let it restore the machine then."""
    folder = Path(tempfile.mkdtemp(prefix="oomkeeper-demo-"))
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.guard", str(folder)],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        yield Guard(folder=folder, pipe=process.stdin)
    finally:
        said, _ = process.communicate()
        for line in said.splitlines():
            tell.say(f"The demo restored what was left: {line}.")


def main(folder: Path) -> int:
    """Wait for the end of stdin, then restore everything."""
    demo = os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    before = {key: int(value) for key, _, value in (line.strip().partition("=") for line in sys.stdin)}
    for lock in folder.glob("*/lock"):
        _await_release(lock)
    said = sysctls.put_back(before)
    shutil.rmtree(folder, ignore_errors=True)
    if os.geteuid() == 0:
        memcg.remove(memcg.folder_of(demo, hierarchy=CgroupHierarchy.find()))
    with suppress(BrokenPipeError):  # the demo may be gone
        for line in said:
            print(line, flush=True)
    return 0


def _await_release(lock: Path) -> None:
    """Wait until the agent has released its state: it would overwrite a restored sysctl."""
    deadline = time.monotonic() + _AGENT_SECONDS
    with lock.open() as file:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
            else:
                return


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
