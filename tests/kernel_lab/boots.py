"""Cases onto boots: all that leave the machine standing share one, those that panic it have their own."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.testbed.cache import Say
from tests.testbed.errors import TestbedError
from tests.testbed.qemu import Guest, GuestCrashError, GuestTimeoutError, Kernel, Machine, guest

from .cases import Case
from .image import disks, initramfs
from .truth import Recording, Truth, read_talk

MEMORY_MIB = 384
_ATTEMPTS = 6
"""6.12 fails to come up in every other boot under emulation."""
_ATTEMPTS_AT_A_CASE = 2
"""When a guest that is up stops in a case without any sign of a broken kernel, it is likely the case."""
_CASES_A_BOOT = 10
"""A boot takes seconds; what it has done is kept when it is over."""
_BOOT_SECONDS = 120.0
_QUIET_SECONDS = 240.0
"""The longest that a guest may say nothing: a case's two minutes, and room for a busy machine."""
_OOM = re.compile(r"invoked oom-killer: ")


def record(kernel: Kernel, *, cgroups: str, wanted: Sequence[Case], say: Say) -> Iterator[Recording]:
    """Run the cases on a kernel with cgroup `v1` or `v2`, and give each as it is done.

    A boot that the emulation spoils is tried again with the cases that it left; a case that cannot be brought
    to its end has `failure` set.
    """
    together = [case for case in wanted if not case.alone]
    groups = [together[at : at + _CASES_A_BOOT] for at in range(0, len(together), _CASES_A_BOOT)]
    groups += [[case] for case in wanted if case.alone]
    for group in groups:
        left, attempts = list(group), 0
        while left:
            attempts += 1
            boot = _boot(kernel, cgroups=cgroups, group=left, say=say)
            for recording in boot.done:
                yield replace(recording, attempts=attempts)
                attempts = 1
            names = {recording.name for recording in boot.done}
            left = [case for case in left if case.name not in names]
            if not left:
                break
            say(f"{kernel.series}-{cgroups} {left[0].name}: try {attempts}: {boot.broken}")
            if attempts >= (_ATTEMPTS_AT_A_CASE if boot.in_a_case else _ATTEMPTS):
                yield Recording(
                    name=left.pop(0).name, truth=Truth(facts={}), log=b"", failure=str(boot.broken)
                )
                attempts = 0


@dataclass(frozen=True, kw_only=True)
class _Boot:
    done: list[Recording]
    broken: Exception | None = None
    """Why it ended before its last case."""
    in_a_case: bool = False
    """Whether it stopped in a case, its kernel and machine in good health."""


def _boot(kernel: Kernel, *, cgroups: str, group: Sequence[Case], say: Say) -> _Boot:
    with tempfile.TemporaryDirectory(prefix="kernel-lab-") as name:
        folder = Path(name)
        talk = folder / "talk"
        names = ",".join(case.name for case in group)
        machine = Machine(
            kernel=kernel,
            append=f"{_append(group[0])} lab.cgroup={cgroups} lab.cases={names}",
            memory_mib=MEMORY_MIB,
            initrd=initramfs(say=say),
            disks=disks(folder),
            serials=(f"file:{talk}",),
        )
        broken: Exception | None = None
        panic: str | None = None
        with guest(machine, folder) as running:
            try:
                panic = _follow(running, talk)
            except (GuestCrashError, GuestTimeoutError) as error:
                broken = error
            console = running.console
        finished, open_end = read_talk(talk.read_bytes() if talk.exists() else b"")
    expected = group[0].panics
    if panic is not None and expected is not None and expected in panic and open_end is not None:
        return _Boot(done=[replace(open_end, log=_panic_log(console))])
    if broken is None:
        what = f"a panic that no case asked for: {panic}" if panic else "the guest ended before its last case"
        broken = TestbedError(what)
    return _Boot(
        done=[] if expected else finished,
        broken=broken,
        in_a_case=open_end is not None and not isinstance(broken, GuestCrashError),
    )


def _append(case: Case) -> str:
    # All messages go to the console where nothing else records them, which is slow; elsewhere only errors.
    level = "loglevel=7" if case.panics else "loglevel=4"
    return f"{level} panic=-1 swapaccount=1 log_buf_len=4M {case.append}".strip()


def _follow(running: Guest, talk: Path) -> str | None:
    deadline = time.monotonic() + _BOOT_SECONDS
    size = 0
    while True:
        grown = talk.stat().st_size if talk.exists() else 0
        if grown != size:
            size, deadline = grown, time.monotonic() + _QUIET_SECONDS
        try:
            return running.wait_end(seconds=0.3)
        except GuestTimeoutError:
            if time.monotonic() > deadline:
                raise


def _panic_log(console: str) -> bytes:
    lines = console.split("\n")
    first = next((at for at, line in enumerate(lines) if _OOM.search(line)), 0)
    return ("\n".join(lines[first:]).rstrip("\n") + "\n").encode()
