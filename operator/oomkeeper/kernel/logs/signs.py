"""Other signs of memory trouble: messages that are not OOM kills by the kernel, or that only mention one.

Each sign names the command that gets the full report. Sources: systemd (src/core/unit.c, src/oom/), kubelet
(pkg/kubelet/oom), containerd (TaskOOM events), earlyoom, nohang, Talos; mm/page_alloc.c warn_alloc(),
lib/ratelimit.c.
"""

import re
from typing import NamedTuple

from oomkeeper.model.escaping import printable

from ..lazy import lazy

MOST_SIGNS = 50
"""Signs that are kept; a log may repeat one for days."""
_MOST_OF_A_KIND = 10
_QUOTED_CHARACTERS = 160

_KERNEL_LOG = "`journalctl -k -b all | oomkeeper explain -` on the node"


class Kind(NamedTuple):
    """One kind of sign."""

    name: str
    pattern: bytes
    message: str


_KINDS = (
    Kind(
        "PageAllocationFailure",
        rb"page allocation (?:failure|stalls)",
        "A memory allocation failed in the kernel; no process was killed for it, so this is not an OOM kill. "
        f"For OOM kills near it run {_KERNEL_LOG}.",
    ),
    Kind(
        "ReportsSuppressed",
        rb"(?<!\w)(?:oom_kill_process|dump_header|out_of_memory): \d+ callbacks suppressed",
        "The kernel suppressed OOM reports because of its rate limit: more OOM events happened than the log "
        "shows. `grep oom_kill /proc/vmstat` has the number of kills since boot.",
    ),
    Kind(
        "SystemdOomd",
        rb"systemd-oomd(?:\[\d+\])?: (?:Killed|Marked|oomd attempting to kill)"
        rb"|systemd-oomd killed|due to memory pressure for /",
        "systemd-oomd killed a cgroup because of memory pressure; the kernel's OOM killer did not. For the "
        "reason run `journalctl -u systemd-oomd` and `oomctl`.",
    ),
    Kind(
        "SystemdUnit",
        rb"(?:A process of this unit|process in this unit) has been killed by the OOM killer"
        rb"|Failed with result 'oom-kill'|status=9/KILL.*oom|Main process exited.*oom-kill",
        "systemd reports that an OOM kill ended a process of a unit. For the kernel's report run "
        f"{_KERNEL_LOG}.",
    ),
    Kind(
        "KubeletSystemOOM",
        rb"SystemOOM\b|System OOM encountered",
        f"kubelet reports a system OOM on the node. For the kernel's report run {_KERNEL_LOG}.",
    ),
    Kind(
        "Earlyoom",
        rb"\bearlyoom\b.*(?:SIGTERM|SIGKILL|low memory|kill)|sending SIG(?:TERM|KILL) to process \d+",
        "earlyoom killed a process before the kernel's OOM killer did. For the reason run "
        "`journalctl -u earlyoom`.",
    ),
    Kind(
        "Nohang",
        rb"\bnohang\b.*(?:SIGTERM|SIGKILL|[Kk]ill)|Sending SIG(?:TERM|KILL) to the victim",
        "nohang killed a process before the kernel's OOM killer did. For the reason run "
        "`journalctl -u nohang`.",
    ),
    Kind(
        "TalosOOM",
        rb"OOM controller triggered|oomController|Sending SIGKILL to cgroup|talos.{0,80}\bOOM\b",
        "The OOM controller of Talos killed a cgroup; the kernel's OOM killer did not. For the reason run "
        "`talosctl dmesg | oomkeeper explain -`.",
    ),
    Kind(
        "ContainerRuntimeOOM",
        rb"TaskOOM\b|/tasks/oom|container_oom|OOM event (?:for|received)|oom event (?:for|received)",
        "The container runtime reports an OOM kill in a container. For the kernel's report run "
        f"{_KERNEL_LOG}.",
    ),
    Kind(
        "ContainerOOMKilled",
        rb"\bOOMKilled\b|\bOOMKilling\b|ContainerStatus.*exitCode.{1,4}137",
        f"Kubernetes reports that an OOM kill ended a container. For the kernel's report run {_KERNEL_LOG}.",
    ),
)
_ANY = lazy(b"|".join(b"(" + kind.pattern + b")" for kind in _KINDS))
_WORDING = lazy(
    rb"\boom[-_ ]?kill|\bOOM\b|out of memory|killed process \d|memory cgroup.{0,40}limit", re.IGNORECASE
)
_WORDS = (
    b"oom",
    b"OOM",
    b"emory",
    b"EMORY",
    b"kill",
    b"Kill",
    b"KILL",
    b"SIG",
    b"page alloc",
    b"suppressed",
    b"ontainerStatus",
)
"""One of them is in every line that the patterns match; a search for fixed bytes is much faster."""


class Sign(NamedTuple):
    """One sign, as `explain -o json` prints it."""

    kind: str
    line: int
    """Number of the line in the log, from 1."""
    message: str


class Signs:
    """Collects the signs of one log."""

    def __init__(self) -> None:
        self._signs: list[Sign] = []
        self._of_kind: dict[str, int] = {}
        self._unclear: list[Sign] = []

    def see(self, line: bytes, number: int) -> None:
        """Examine one line that is not part of an OOM report."""
        text = line[:4096]
        for word in _WORDS:
            if word in text:
                break
        else:
            return
        found = _ANY.search(text)
        if found is not None and found.lastindex is not None:
            kind = _KINDS[found.lastindex - 1]
            seen = self._of_kind.get(kind.name, 0)
            if seen < _MOST_OF_A_KIND and len(self._signs) < MOST_SIGNS:
                self._of_kind[kind.name] = seen + 1
                self._signs.append(Sign(kind.name, number, kind.message))
        elif len(self._unclear) < _MOST_OF_A_KIND and _WORDING.search(text):
            quote = printable(text.decode("utf-8", "backslashreplace").strip()[:_QUOTED_CHARACTERS])
            self._unclear.append(
                Sign(
                    "NotUnderstood",
                    number,
                    f"This line mentions an OOM kill, but is not a kernel message that can be read: {quote}",
                )
            )

    def found(self, *, kills: int) -> list[Sign]:
        """Return the signs in the order of the log. Lines that only mention an OOM kill count if nothing else
        was found."""
        if kills or self._signs:
            return self._signs
        return self._unclear
