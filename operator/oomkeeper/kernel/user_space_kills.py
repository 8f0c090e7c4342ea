"""Lines of the kernel log in which OOM killers in user space report a kill.

Any process that may open /dev/kmsg for writing can write such a line: it is a claim, never proof. The log has
them where

- Talos' OOM controller kills a pod's cgroup through cgroup.kill: machined writes its log there
  (siderolabs/talos, internal/app/machined/pkg/controllers/runtime/oom.go, reapCg())
- systemd-oomd or earlyoom write theirs there: SYSTEMD_LOG_TARGET=kmsg, or journald's ForwardToKMsg=yes
  (systemd, src/oom/oomd-manager.c: `Killed`, newer `Marked ... for killing`; earlyoom, kill.c)
- oomd kills a cgroup (facebookincubator/oomd, src/oomd/plugins/BaseKillPlugin.cpp, logKill())
"""

import re
from typing import NamedTuple

from oomkeeper.model.log import LogRecord

from .lazy import lazy

SYSTEMD_OOMD = "systemd-oomd"
EARLYOOM = "earlyoom"
OOMD = "oomd"
TALOS = "Talos' OOM controller"

_WORDS = (b"ill", b"SIGKILL")
"""One of them is in every line that the pattern matches; a search for fixed bytes is much faster."""
_CGROUP_ROOT = b"/sys/fs/cgroup"
_LONGEST_LINE = 2048
_LINE = lazy(
    rb"""\[talos\]\ Sending\ SIGKILL\ to\ cgroup\ \{[^{}]*"cgroup":\ "(?P<talos>[^"]+)"
    | systemd-oomd(?:\[\d+\])?:\ (?:Killed|Marked)\ (?P<systemd_oomd>/\S+)
      \ (?:for\ killing\ )?due\ to\ memory\b
    | earlyoom(?:\[\d+\])?:\ sending\ SIGKILL\ to\ process\ (?P<earlyoom>\d{1,10})\b
    | oomd\ kill:\ [\d.]+\ [\d.]+\ [\d.]+\ (?P<oomd>\S+)\ \d+\ ruleset:\[(?!.*\bkiller:\(dry\))""",
    re.VERBOSE,
)
_PROGRAMS = {"talos": TALOS, "systemd_oomd": SYSTEMD_OOMD, "oomd": OOMD}


class UserSpaceKill(NamedTuple):
    """What one line reports. Its text is any process's choice."""

    program: str
    """The OOM killer that the line names."""
    cgroup: str | None = None
    """The cgroup that was killed, from the root of the cgroup file system."""
    pid: int | None = None
    """The process that was killed, where the line names one."""


def reported_kill(record: LogRecord) -> UserSpaceKill | None:
    """Return the kill that a record reports; None for every other record, and for all of the kernel's own."""
    if record.kernel or not any(word in record.text for word in _WORDS):
        return None
    found = _LINE.match(record.text[:_LONGEST_LINE])
    if found is None or found.lastgroup is None:
        return None
    value = found[found.lastgroup]
    if found.lastgroup == "earlyoom":
        return UserSpaceKill(EARLYOOM, pid=int(value))
    path = value.removeprefix(_CGROUP_ROOT).decode("utf-8", "backslashreplace")
    return UserSpaceKill(_PROGRAMS[found.lastgroup], cgroup=path if path.startswith("/") else f"/{path}")
