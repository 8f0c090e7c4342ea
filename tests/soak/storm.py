"""Kills at the full rate while nothing fails: what they cost the agent and the API server."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.api_writes import oomkeeper_writes
from tests.cluster.agent_harness import Agent
from tests.cluster.controller_harness import OOM, Harness
from tests.kernel.harness import private_mib

INCIDENT_SECONDS = 10.0
"""Between two writes of one incident."""
NODE_SECONDS = 5.0
"""Between two writes of OOMNode.status."""
MOST_MIB = 40.0


@dataclass(frozen=True, kw_only=True)
class Storm:
    """What was measured."""

    seconds: float
    kills: int
    cpu_seconds: float
    """The agent's, user and system."""
    memory_mib: float
    """Its private memory at most."""
    incidents: int
    """In the cluster, after it."""
    writes: Counter[str] = field(default_factory=Counter)

    def wrong(self) -> list[str]:
        """Return a sentence for each bound that was exceeded."""
        found = []
        if self.memory_mib > MOST_MIB:
            found.append(f"the agent had {self.memory_mib:.1f} MiB of private memory in the storm")
        # A new incident is two requests: the object, and its status.
        for resource, objects, interval in (
            ("oomincidents", self.incidents, INCIDENT_SECONDS),
            ("oomnodes", 1, NODE_SECONDS),
        ):
            made = self.writes_of(resource)
            most = objects * (self.seconds / interval + 3)
            if made > most:
                found.append(
                    f"{made} writes of {objects} {resource} in {self.seconds:.0f} s: more than {most:.0f}"
                )
        return found

    def writes_of(self, resource: str) -> int:
        """Return the writes of a resource, its status included."""
        return sum(
            count for name, count in self.writes.items() if name.split()[1].partition("/")[0] == resource
        )


def measure(harness: Harness, agent: Agent, *, seconds: float, kills: Callable[[], int]) -> Storm:
    """Watch agent and API server for a while; `kills` returns how many were made so far."""
    before, made = _writes(harness), kills()
    began, cpu, memory = time.monotonic(), cpu_seconds(agent.pid), 0.0
    while time.monotonic() < began + seconds:
        with suppress(OSError):
            memory = max(memory, private_mib(agent.pid))
        time.sleep(0.5)
    return Storm(
        seconds=time.monotonic() - began,
        kills=kills() - made,
        cpu_seconds=cpu_seconds(agent.pid) - cpu,
        memory_mib=memory,
        incidents=len(harness.list(f"{OOM}/oomincidents")),
        writes=_writes(harness) - before,
    )


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process. Raises OSError."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _writes(harness: Harness) -> Counter[str]:
    return oomkeeper_writes(harness.plane.kubectl("get", "--raw", "/metrics"))
