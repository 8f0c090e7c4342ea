"""Cases onto boots: all that leave the machine standing share one, those that panic it have their own."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.testbed.cache import Say
from tests.testbed.errors import TestbedError
from tests.testbed.qemu import Guest, GuestCrashError, GuestTimeoutError, Kernel, Machine, guest

from .cases import Case
from .image import disks, initramfs
from .truth import Recording, read_talk

MEMORY_MIB = 384
_ATTEMPTS = 6
"""6.12 fails to come up in every other boot under emulation."""
_BOOT_SECONDS = 60.0
_QUIET_SECONDS = 150.0
"""The longest that a guest may say nothing: a case's minute, and room for a busy machine."""
_OOM = re.compile(r"invoked oom-killer: ")


def record(kernel: Kernel, *, cgroups: str, wanted: Sequence[Case], say: Say) -> Iterator[Recording]:
    """Run the cases on a kernel with cgroup `v1` or `v2`, and give each as it is done.

    A boot that the emulation spoils is tried again with the cases that it left. Raises TestbedError when a
    case cannot be brought to an end.
    """
    together = [case for case in wanted if not case.alone]
    groups = [[together[0], *together[1:]]] if together else []
    groups += [[case] for case in wanted if case.alone]
    for group in groups:
        left, attempts = list(group), 0
        while left:
            attempts += 1
            done, broken = _boot(kernel, cgroups=cgroups, group=left, say=say)
            for recording in done:
                yield replace(recording, attempts=attempts)
            names = {recording.name for recording in done}
            attempts = 0 if names else attempts
            left = [case for case in left if case.name not in names]
            if left and attempts >= _ATTEMPTS:
                raise TestbedError(f"{kernel.series}-{cgroups} {left[0].name}: {attempts} tries: {broken}")
            if left:
                say(f"{kernel.series}-{cgroups} {left[0].name}: tried again, for {broken}")


def _boot(
    kernel: Kernel, *, cgroups: str, group: Sequence[Case], say: Say
) -> tuple[list[Recording], Exception | None]:
    panics = group[0].panics
    with tempfile.TemporaryDirectory(prefix="kernel-lab-") as name:
        folder = Path(name)
        talk = folder / "talk"
        machine = Machine(
            kernel=kernel,
            append=f"{_append(group[0])} lab.cgroup={cgroups} lab.cases={','.join(case.name for case in group)}",
            memory_mib=MEMORY_MIB,
            initrd=initramfs(say=say),
            disks=disks(folder),
            serials=(f"file:{talk}",),
        )
        broken: Exception | None = None
        with guest(machine, folder) as running:
            try:
                panic = _follow(running, talk)
                console = running.console
            except (GuestCrashError, GuestTimeoutError) as error:
                broken, panic, console = error, None, running.console
        finished, open_end = read_talk(talk.read_bytes() if talk.exists() else b"")
    if panic is not None and panics is not None and panics in panic and open_end is not None:
        return [replace(open_end, log=_panic_log(console))], None
    if panic is not None:
        broken = TestbedError(f"a panic that no case asked for: {panic}")
    if panics is not None:
        return [], broken or TestbedError(f"no panic came; the console ends: {console[-300:]}")
    return finished, broken or TestbedError("the guest stopped before its last case")


def _append(case: Case) -> str:
    # Everything onto the console where it is the only witness, which is slow, and errors alone elsewhere.
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
