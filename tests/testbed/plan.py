"""What a supervisor is to run: written by who starts it, read by the supervisor, kept in the run folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

FILE = "plan.json"
FAILED_CODE = 3
"""The supervisor's exit code when something failed but the machine was restored; 0 on success."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """One long-running program."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Added to the supervisor's own."""
    waits_for: tuple[str, ...] = ()
    """Probes (see probes.py) that must answer before it starts."""
    gentle_seconds: float = 0.0
    """Time between SIGTERM and SIGKILL; 0 where all that it holds is thrown away anyway."""
    hosts_pods: bool = False
    """The pods are ended just before it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    folder: Path
    components: tuple[Component, ...]
    """In the order of their start; they end in the reverse order."""
    ready_when: tuple[str, ...]
    """Probes that must answer before the whole counts as ready."""
    changes_machine: bool = False
    """Whether the machine's state is recorded before the start and restored after the end."""
    detached: bool = False
    """Runs on until SIGTERM, whatever becomes of the process that started it."""
    start_seconds: float = 90.0

    def write(self) -> None:
        (self.folder / FILE).write_text(json.dumps(dataclasses.asdict(self), default=str, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Plan:
        raw = json.loads((folder / FILE).read_text())
        components = tuple(
            Component(
                name=one["name"],
                command=tuple(one["command"]),
                environment=tuple((key, value) for key, value in one["environment"]),
                waits_for=tuple(one["waits_for"]),
                gentle_seconds=one["gentle_seconds"],
                hosts_pods=one["hosts_pods"],
            )
            for one in raw.pop("components")
        )
        ready_when = tuple(raw.pop("ready_when"))
        return cls(**{**raw, "folder": Path(raw["folder"])}, components=components, ready_when=ready_when)
