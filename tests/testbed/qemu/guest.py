"""A running virtual machine: waited for within bounds, its console at hand, gone when the block ends."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import TestbedError
from ..processes import die_with_parent
from . import console
from .machine import Machine, command_line, prepare

_POLL_SECONDS = 0.1


class GuestCrashError(TestbedError):
    """The guest's kernel, or QEMU, broke down for a reason that is not memory: worth another try."""


class GuestTimeoutError(TestbedError):
    """The guest neither said what was waited for nor ended in time."""


class Guest:
    """One QEMU process. `console.log` grows over restarts in the same folder."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        prepare(machine)
        self.folder = folder
        self._console = folder / "console.log"
        self._from = len(console.read(self._console))
        with (folder / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen(
                command_line(machine, folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    @property
    def console(self) -> str:
        """The console's text since this start."""
        return console.read(self._console)[self._from :]

    def wait_for(self, pattern: str, *, seconds: float) -> re.Match[str]:
        """Wait until the console matches. GuestCrashError when the kernel breaks or QEMU ends first."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            found = expression.search(self.console)
            if found is not None:
                return found
            self._check(ended=ended)
            if time.monotonic() > deadline:
                raise GuestTimeoutError(f"{seconds:.0f} s without {pattern!r}; console ends: {self._end()}")
            time.sleep(_POLL_SECONDS)

    def wait_end(self, *, seconds: float) -> str | None:
        """Wait until the guest powers off or resets; gives the text of its OOM panic, if it had one."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self._check(ended=False)
                raise GuestTimeoutError(f"still running after {seconds:.0f} s; console ends: {self._end()}")
            if console.crash(self.console):
                self._check(ended=False)
            time.sleep(_POLL_SECONDS)
        broken = console.crash(self.console)
        if broken is not None or self.process.returncode != 0:
            raise GuestCrashError(broken or f"QEMU ended with {self.process.returncode}: {self._qemu_end()}")
        return console.oom_panic(self.console)

    def qmp(self, command: str, **arguments: Any) -> Any:
        """One QMP command (`system_reset`, `quit`, ...); gives what it returns."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.folder / "qmp.sock"))
            stream = connection.makefile("rw")
            stream.readline()
            for name, given in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": given}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
                if "error" in answer:
                    raise TestbedError(f"QMP {name}: {answer['error']}")
        return answer["return"]

    def stop(self) -> None:
        """End it immediately, like a power cut."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _check(self, *, ended: bool) -> None:
        broken = console.crash(self.console)
        if broken is not None:
            raise GuestCrashError(broken)
        if ended:
            raise GuestCrashError(f"QEMU ended with {self.process.returncode}: {self._qemu_end()}")

    def _end(self) -> str:
        return self.console[-300:].strip()

    def _qemu_end(self) -> str:
        return (self.folder / "qemu.log").read_text(errors="replace")[-300:].strip()


@contextlib.contextmanager
def guest(machine: Machine, folder: Path) -> Iterator[Guest]:
    """A machine that runs as long as the block."""
    running = Guest(machine, folder)
    try:
        yield running
    finally:
        running.stop()
