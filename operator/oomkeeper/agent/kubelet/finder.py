"""Find the kubelet of this host in /proc, and read what it is set to."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from oomkeeper.kernel.bounded_read import Deadline, read_bytes
from oomkeeper.kernel.cgroup.members import HostProcesses

from .command_line import COMMS, KUBELITE, KubeletFlags, kubelet_flags
from .config import PROTECT, SINGLE_PROCESS, MergedConfig, drop_ins, read_files
from .facts import KubeletFacts
from .host_process import is_host_root_process

SEARCH_SECONDS = 3.0
"""For one search: a file on a dead network file system must not stop the agent."""
RECENT_SECONDS = 600.0
"""A kubelet that ended so long ago, as in an upgrade, is taken for unchanged."""
PROTECT_FLAG = "protect-kernel-defaults"


def find_kubelet(
    *, proc: Path = Path("/proc"), k3s_arguments: Sequence[str] | None = None
) -> KubeletFacts | None:
    """Return the kubelet that runs on this host (needs the host's pid namespace); None where none is found.

    `k3s_arguments`: the annotation k3s.io/node-args of this Node; None where it has none or is not known.
    """
    host = HostProcesses(proc=proc)
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdecimal()):  # noqa: PTH208 - the agent's loop
        try:
            facts = _facts_of(pid, host=host, proc=proc, k3s_arguments=k3s_arguments)
        except OSError:
            continue  # it has ended
        if facts is not None:
            return facts
    return None


class KubeletFinder:
    """Searches again only when the kubelet known has ended, or every LOOKS looks.

    One that has just ended is searched for each time: it is about to come back and to write its sysctls.
    """

    LOOKS = 12

    def __init__(self, *, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._known: KubeletFacts | None = None
        self._looks = 0
        self._missed = 0
        self._recent: KubeletFacts | None = None
        self._seen_at = 0.0
        self._deadline: Deadline[KubeletFacts | None] = Deadline(seconds=SEARCH_SECONDS)
        self.k3s_arguments: tuple[str, ...] | None = None
        """The annotation k3s.io/node-args of this Node; None where it has none or is not known."""

    def recent(self) -> KubeletFacts | None:
        """Return the kubelet that runs now or ran within RECENT_SECONDS, as the last look() found it."""
        gone = self._known is None and self._clock() - self._seen_at > RECENT_SECONDS
        return None if gone else self._recent

    def look(self) -> KubeletFacts | None:
        """Return the kubelet that runs now; None where none is found."""
        found = self._look()
        if found is not None:
            self._recent, self._seen_at = found, self._clock()
        return found

    def _look(self) -> KubeletFacts | None:
        known = self._known
        self._looks -= 1
        if (
            known is not None
            and process_start_time(known.pid, proc=self._proc) == known.start_time
            and self._looks > 0
        ):
            return known
        if known is None and self._looks > 0 and self._missed <= 0:
            return None
        self._known, self._looks = self._search(), self.LOOKS
        self._missed = self.LOOKS if known is not None else self._missed - 1
        return self._known

    def _search(self) -> KubeletFacts | None:
        try:
            return self._deadline.run(lambda: find_kubelet(proc=self._proc, k3s_arguments=self.k3s_arguments))
        except TimeoutError as error:
            return KubeletFacts(pid=0, start_time=0, problem=f"reading its files: {error.strerror}")


def process_start_time(pid: int, *, proc: Path = Path("/proc")) -> int | None:
    """Return the start of a process in clock ticks after boot: with the pid it names one process for all
    time. None when it is gone."""
    try:
        stat = read_bytes(proc / str(pid) / "stat")
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])


def _facts_of(
    pid: int, *, host: HostProcesses, proc: Path, k3s_arguments: Sequence[str] | None
) -> KubeletFacts | None:
    """Return what this process's kubelet is set to; None where it is no kubelet of the host. Raises OSError
    when it ends meanwhile.

    The command line of a process that is not the host's own is never read: that takes a lock of its memory,
    which its owner can hold for as long as it likes.
    """
    folder = proc / str(pid)
    comm = read_bytes(folder / "comm").decode(errors="replace").strip()
    if comm not in COMMS or not is_host_root_process(pid, host=host, proc=proc):
        return None
    start_time = process_start_time(pid, proc=proc)
    arguments = [part.decode(errors="replace") for part in read_bytes(folder / "cmdline").split(b"\0")[:-1]]
    flags = kubelet_flags(
        arguments,
        comm=comm,
        root=folder / "root",
        environ=_snap_environment(folder) if comm == KUBELITE else {},
        k3s_arguments=k3s_arguments,
    )
    if flags is None:
        return None
    config = _config(folder, flags)
    if start_time is None or process_start_time(pid, proc=proc) != start_time:
        return None  # another process has the pid now
    return _facts(pid, start_time, flags, config)


def _snap_environment(folder: Path) -> dict[str, str]:
    """Return the variables that a snap's arguments may refer to."""
    try:
        entries = read_bytes(folder / "environ").split(b"\0")
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries if entry.startswith(b"SNAP"))
    return {name: value for name, _, value in pairs}


def _config(folder: Path, flags: KubeletFlags) -> MergedConfig:
    config_dir = flags.flags.get("config-dir")
    if config_dir and flags.config_dir_optional:
        try:
            drop_ins(folder / "root", config_dir)
        except FileNotFoundError:
            config_dir = None
        except OSError:
            pass  # read_files() names the problem
    return read_files(
        folder / "root", cwd=folder / "cwd", config=flags.flags.get("config"), config_dir=config_dir
    )


def _facts(pid: int, start_time: int, flags: KubeletFlags, config: MergedConfig) -> KubeletFacts:
    flag = flags.boolean(PROTECT_FLAG)
    problem = flags.problem or config.problem
    if flags.unreadable(PROTECT_FLAG):
        problem = problem or f"--{PROTECT_FLAG} is neither true nor false"
    elif flag is not None and flags.problem is None:
        problem = None  # a flag wins over whatever the files say
    protect = flag if flag is not None else config.boolean(PROTECT)
    return KubeletFacts(
        pid=pid,
        start_time=start_time,
        config_file=flags.flags.get("config") or flags.flags.get("config-dir"),
        protect_kernel_defaults=bool(protect),
        single_process_oom_kill=config.boolean(SINGLE_PROCESS),
        eviction_hard=config.eviction_hard,
        problem=problem,
    )
