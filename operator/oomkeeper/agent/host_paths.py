"""Where the host's files are, seen from this process."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """The roots of everything that the agent reads and writes on the host."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    cgroup: Path = Path("/sys/fs/cgroup")
    etc: Path = Path("/etc")
    kmsg: Path = Path("/dev/kmsg")
    tracefs: Path = Path("/sys/kernel/tracing")
    pstore: Path = Path("/sys/fs/pstore")
    pstore_archive: Path = Path("/var/lib/systemd/pstore")
    sysctls: Path | None = None
    """The host's /proc/sys; None: below `proc`."""

    @property
    def sysctl_root(self) -> Path:
        """Return where the sysctls are."""
        return self.sysctls or self.proc / "sys"
