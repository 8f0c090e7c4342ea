"""Other signs of memory trouble: messages that are not OOM kills by the kernel, or that only mention one.

Each sign names the command that gets the full report. Sources: systemd (src/core/unit.c, src/oom/), kubelet
(pkg/kubelet/oom), containerd (TaskOOM events), earlyoom, nohang, Talos; mm/page_alloc.c warn_alloc(),
lib/ratelimit.c.
"""

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.log import LogRecord

from ..lazy import lazy

MOST_SIGNS = 50
"""Signs that are kept; a log may repeat one for days."""
_MOST_OF_A_KIND = 10
_MOST_MENTIONS = 50
_QUOTED_CHARACTERS = 160
_AT_ONCE = 64
"""Lines that are searched together."""

_KERNEL_LOG = "`journalctl -k -b all | oomkeeper explain -` on the node"


class Kind(NamedTuple):
    """One kind of sign."""

    name: str
    pattern: bytes
    message: str


_KINDS = (
    Kind(
        "PageAllocationFailure",
        rb"page allocation (?:failure|stalls)|warn_alloc(?:_show_mem)?: \d+ callbacks suppressed"
        rb"|SLUB: Unable to allocate memory",
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
        rb"|OOM killer killed some processes in this unit"
        rb"|Failed with result 'oom-kill'|status=9/KILL.*oom|Main process exited.*oom-kill",
        "systemd reports that an OOM kill ended a process of a unit. For the kernel's report run "
        f"{_KERNEL_LOG}.",
    ),
    Kind(
        "KubeletSystemOOM",
        rb"SystemOOM\b|System OOM encountered|Got sys oom event",
        f"kubelet reports a system OOM on the node. For the kernel's report run {_KERNEL_LOG}.",
    ),
    Kind(
        "Earlyoom",
        rb"low memory! at or below SIG(?:TERM|KILL) limits|sending SIG(?:TERM|KILL) to process \d+",
        "earlyoom found memory low and sent a signal to a process; the kernel's OOM killer did not act. For "
        "the reason run `journalctl -u earlyoom`.",
    ),
    Kind(
        "Nohang",
        rb"Sending SIG(?:TERM|KILL) to the victim|\bnohang\b.*Implementing a corrective action",
        "nohang found memory low and sent a signal to a process; the kernel's OOM killer did not act. For "
        "the reason run `journalctl -u nohang`.",
    ),
    Kind(
        "TalosOOM",
        rb"OOM controller triggered|Sending SIGKILL to cgroup",
        "The OOM controller of Talos killed a cgroup; the kernel's OOM killer did not. For the reason run "
        "`talosctl dmesg | oomkeeper explain -`.",
    ),
    Kind(
        "ContainerRuntimeOOM",
        rb"TaskOOM\b|/tasks/oom|container_oom|OOM event (?:for|received)|oom event (?:for|received)"
        rb"|\bcontainer oom [0-9a-f]{8}|OutOfMemoryError: Container killed",
        "The container runtime reports an OOM kill in a container. For the kernel's report run "
        f"{_KERNEL_LOG}.",
    ),
    Kind(
        "ContainerOOMKilled",
        rb"\b(?:OOMKilled|oom_?[Kk]illed)\b(?!\\?[\"']?\s*[:=]\s*(?:false|False|0|null|no)\b)|\bOOMKilling\b",
        "Kubernetes or the container runtime reports that an OOM kill ended a container. For the kernel's "
        f"report run {_KERNEL_LOG}.",
    ),
    Kind(
        "SlurmOOM",
        rb"[Dd]etected \d+ oom[-_ ]kill event",
        "Slurm reports an OOM kill in a job. `sacct -j JOB -o ReqMem,MaxRSS` shows its memory; for the "
        f"kernel's report run {_KERNEL_LOG}.",
    ),
    Kind(
        "LowMemoryKiller",
        rb"lowmemorykiller\b.*\bKill|\blmkd\b.*\b[Kk]ill(?:ing)? ['\"]?[\w.:]+['\"]? \(\d+\)",
        "Android's low memory killer killed an app; the kernel's OOM killer did not. For the reason run "
        "`adb logcat -b all -s lowmemorykiller lmkd`.",
    ),
)
_ANY = lazy(b"|".join(b"(" + kind.pattern + b")" for kind in _KINDS))
_WORDING = lazy(
    rb"\boom[-_ ]?kill|\bOOM\b|out of memory|killed process \d|memory cgroup.{0,40}limit", re.IGNORECASE
)
_ORDINARY = lazy(
    rb"OOM killer (?:en|dis)abled|\(OOM\) Killer|systemd-oomd\.s|oom_reaper initialized|OOM_?Killed"
    rb"|earlyoom\b.*\bwhen mem",
    re.IGNORECASE,
)
"""Messages of every boot and suspend, and settings, that report no shortage."""
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
)
"""One of them is in every line that the patterns match; a search for fixed bytes is much faster."""

_ALL_WORDS = (*_WORDS, b"SLUB: ")
"""The same with what `see_kernel` searches."""


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
        self._mentions: list[tuple[bytes, int]] = []
        """Lines of the kernel with OOM wording; they are examined only if nothing else was found."""

    def see(self, line: bytes, number: int) -> None:
        """Examine one line. Those of an OOM report that can be read have no effect on `found`."""
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
            again = self._signs and self._signs[-1][:2] == (kind.name, number)
            if seen < _MOST_OF_A_KIND and len(self._signs) < MOST_SIGNS and not again:
                self._of_kind[kind.name] = seen + 1
                self._signs.append(Sign(kind.name, number, kind.message))
        elif (
            len(self._unclear) < _MOST_OF_A_KIND
            and not (self._unclear and self._unclear[-1].line == number)
            and _WORDING.search(text)
            and not _ORDINARY.search(text)
        ):
            quote = printable(text.decode("utf-8", "backslashreplace").strip()[:_QUOTED_CHARACTERS])
            self._unclear.append(
                Sign(
                    "NotUnderstood",
                    number,
                    "This line mentions an OOM kill, but no kill can be read from it; for the kernel's "
                    f"report run {_KERNEL_LOG}. The line: {quote}",
                )
            )

    def see_kernel(self, text: bytes, number: int) -> None:
        """Examine a message of the kernel, which may be a line of a report. Few are signs, so this must be
        fast; a row of the task table, as most lines of a report, is none."""
        if text[:1] == b"[":
            return
        if b"page alloc" in text or b" suppressed" in text or b"SLUB: " in text or b"lowmemory" in text:
            self.see(text, number)
        elif len(self._mentions) < _MOST_MENTIONS and (b"oom" in text or b"ut of memory" in text):
            self._mentions.append((text[:4096], number))

    def see_all(self, records: Sequence[LogRecord], number: int) -> None:
        """Examine the records of consecutive lines of one writer, the first of them line `number`."""
        see: Callable[[bytes, int], None] = self.see
        if records[0].kernel:
            see = self.see_kernel if records[0].usec is not None else self._see_bare
        for first in range(0, len(records), _AT_ONCE):
            some = records[first : first + _AT_ONCE]
            # Nearly all lines hold none of the words, and one search in many lines costs less than many.
            text = b"\n".join([record.text for record in some])
            if any(word in text for word in _ALL_WORDS):
                for at, record in enumerate(some, number + first):
                    see(record.text, at)

    def _see_bare(self, text: bytes, number: int) -> None:
        if text[:1] == b" ":  # of a call trace: without a stamp it is first taken for any program's
            self.see(text, number)
        self.see_kernel(text, number)

    def found(self, *, kills: int) -> list[Sign]:
        """Return the signs in the order of the log. Lines that only mention an OOM kill count if nothing else
        was found."""
        if kills or self._signs:
            return self._signs
        mentions, self._mentions = self._mentions, []
        for text, number in mentions:
            self.see(text, number)
        return self._signs or sorted(self._unclear, key=attrgetter("line"))
