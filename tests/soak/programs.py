"""The agent and the controller of a soak, as processes that can be killed and started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oomkeeper.agent.clock import rfc3339
from tests.cluster.agent_harness import Agent
from tests.cluster.controller_harness import Controller
from tests.kernel.harness import private_mib

LIFE_SECONDS = (0.5, 6.0)
"""How long a program lives at least, at random: killed right after each start, the agent would never work."""


class AgentOnTmpfs(Agent):
    """An agent whose state is on a disk of its own, which can be filled, and whose clock can be set."""

    def __init__(self, folder: Path, *, kubeconfig: Path, node: str, state_mib: int) -> None:
        super().__init__(folder, kubeconfig=kubeconfig, node=node)
        self._clock = folder / "clock-offset"
        self.step_clock(0)
        python, _, _, *arguments = self._command
        self._command = [python, "-m", "tests.soak.stepped_clock", self._clock, *arguments]
        self.state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={state_mib}m,mode=700", "tmpfs", str(self.state)]
        subprocess.run(mount, check=True)

    def step_clock(self, seconds: float) -> None:
        """Set the clock that many seconds ahead of the machine's."""
        made = self._clock.with_suffix(".new")
        made.write_text(str(seconds))
        made.rename(self._clock)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Leave no byte for the state within the block."""
        filler = self.state / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                while True:
                    try:
                        file.write(b"x" * 4096)
                    except OSError:
                        break
            yield
        finally:
            filler.unlink()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Give the agent no CPU within the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Stop it, restore what it changed, and remove its disk."""
        try:
            super().end()
        finally:
            subprocess.run(["umount", "--lazy", str(self.state)], check=True)


class Killer(threading.Thread):
    """Kills agent and controller with SIGKILL at random moments of a time, and starts them again."""

    def __init__(
        self, agent: Agent, controller: Controller, *, agent_kills: int, controller_kills: int, seconds: float
    ) -> None:
        super().__init__(daemon=True)
        self._agent = agent
        self._controller = controller
        deaths = ["agent"] * agent_kills + ["controller"] * controller_kills
        random.shuffle(deaths)
        self._deaths = deaths
        self._times = sorted(random.uniform(0, seconds) for _ in deaths)
        """In seconds from the start; a program lives for LIFE_SECONDS at least."""
        self.killed = {"agent": 0, "controller": 0}
        self.failure: Exception | None = None
        self.alive = threading.Lock()
        """Held while both must live on."""

    def run(self) -> None:
        """Kill each as often as asked for."""
        try:
            began = time.monotonic()
            for death, at in zip(self._deaths, self._times, strict=True):
                time.sleep(max(random.uniform(*LIFE_SECONDS), began + at - time.monotonic()))
                with self.alive:
                    program = self._agent if death == "agent" else self._controller
                    program.kill()
                    program.start()
                    self.killed[death] += 1
        except (AssertionError, OSError, ValueError) as error:
            self.failure = error

    def finish(self) -> None:
        """Wait for the last one. Raises what went wrong."""
        self.join()
        if self.failure is not None:
            raise self.failure


class MemorySampler(threading.Thread):
    """The largest private memory of the agent's processes."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(daemon=True)
        self._agent = agent
        self._ended = threading.Event()
        self.most_mib = 0.0
        self.most_at = ""
        """UTC, as in the logs."""

    def run(self) -> None:
        """Look every second until `stop`."""
        while not self._ended.wait(1):
            with suppress(OSError):  # it is dead, and not started again yet
                now = private_mib(self._agent.pid)
                if now > self.most_mib:
                    self.most_mib, self.most_at = now, rfc3339(time.time())

    def stop(self) -> float:
        """Return the most MiB seen."""
        self._ended.set()
        self.join()
        return self.most_mib
