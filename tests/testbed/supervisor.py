"""Runs a plan and undoes it: `python -m tests.testbed.supervisor RUN_FOLDER`, started by launch.py.

A process of its own, in its own session, because the holder of a testbed may be killed at any moment: the
kernel then closes the pipe on our stdin, and we end everything in order. Should we be killed ourselves, the
kernel ends our children (PR_SET_PDEATHSIG), and the next start sweeps the rest (runs.py). Says on stdout, one
JSON object per line, what it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from . import machine
from .mounts import remove_tree
from .plan import FAILED_CODE, Component, Plan
from .probes import answers
from .processes import adopt_orphans, log_end, reap_adopted, start, stop

_TICK_SECONDS = 0.1


class _EndedError(Exception):
    """The last holder of this testbed has ended."""


class _FailedError(Exception):
    """A component ended or never answered."""


class Supervisor:
    """Holds the running components of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parent = os.getppid()
        self._running: list[tuple[Component, subprocess.Popen[bytes]]] = []
        self._signalled = False

    def run(self) -> int:
        """Start, stand by, tear down; gives the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        adopt_orphans()
        code = 0
        try:
            if self._plan.changes_machine:
                machine.record(self._plan.folder)
                machine.let_watch()
            self._start_all()
            _tell("ready", "")
            self._stand_by()
        except _EndedError:
            pass  # the ordinary end
        except Exception as error:  # noqa: BLE001 - whatever it is, say it and still put the machine back
            _tell("failed", str(error) or repr(error))
            code = FAILED_CODE
        self._tear_down()
        return code

    def _start_all(self) -> None:
        deadline = time.monotonic() + self._plan.start_seconds
        for component in self._plan.components:
            self._await(component.waits_for, before=component.name, deadline=deadline)
            _tell("say", f"starting {component.name}")
            process = start(component, folder=self._plan.folder)
            self._running.append((component, process))
        self._await(self._plan.ready_when, before="ready", deadline=deadline)

    def _await(self, probes: tuple[str, ...], *, before: str, deadline: float) -> None:
        for probe in probes:
            while not answers(probe, folder=self._plan.folder):
                self._tick()
                if time.monotonic() > deadline:
                    raise _FailedError(f"{probe}, awaited before {before}, does not answer{self._log_ends()}")

    def _stand_by(self) -> None:
        while True:
            self._tick()

    def _tick(self) -> None:
        """Wait a moment; raises when the holder is gone or a component ended."""
        if self._plan.detached:
            time.sleep(_TICK_SECONDS)
        elif select.select([sys.stdin], [], [], _TICK_SECONDS)[0]:
            raise _EndedError  # never written to: readable means closed
        # A fork of the holder may keep the pipe open; the parent's pid changes all the same.
        if self._signalled or (self._is_alone() and not self._plan.detached):
            raise _EndedError
        reap_adopted(known=frozenset(process.pid for _, process in self._running))
        for component, process in self._running:
            if process.poll() is not None:
                raise _FailedError(
                    f"{component.name} ended with code {process.returncode}{self._log_ends(component)}"
                )

    def _tear_down(self) -> None:
        began = time.monotonic()
        for component, process in reversed(self._running):
            if component.hosts_pods and machine.is_recorded(self._plan.folder):
                for left in machine.clean_pods(self._plan.folder):
                    _tell("left", left)
            stop(process, gentle_seconds=component.gentle_seconds)
        unclean = machine.clean(self._plan.folder)
        for left in unclean:
            _tell("left", left)
        reap_adopted()
        _tell("say", f"everything restored in {time.monotonic() - began:.1f} s")
        if not unclean and self._is_alone():
            remove_tree(self._plan.folder)

    def _is_alone(self) -> bool:
        """Return whether no process is left to read the logs and remove the run folder."""
        return os.getppid() != self._parent

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled = True

    def _log_ends(self, *only: Component) -> str:
        components = only or tuple(component for component, _ in self._running)
        return "".join(f"\n--- {one.name}\n{log_end(self._plan.folder, one.name)}" for one in components)


def _tell(kind: str, text: str) -> None:
    # The listener may have ended, which the next tick detects; the work continues.
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps({kind: text}), flush=True)


if __name__ == "__main__":
    raise SystemExit(Supervisor(Plan.read(Path(sys.argv[1]))).run())
