"""A node whose containers end, on virtual time."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from oomkeeper.agent.clock import rfc3339
from oomkeeper.agent.container_ends import (
    ContainerEnds,
    TraceState,
)
from oomkeeper.agent.end_signals import EndSignals
from oomkeeper.agent.event_reader import EventsAnswer, EventsOf
from oomkeeper.agent.kill_claims import KillClaims
from oomkeeper.agent.kill_senders import SentSignal
from oomkeeper.agent.lost_runs import with_lost_runs
from oomkeeper.agent.pods import Pod
from oomkeeper.agent.signal_origin import Origin
from oomkeeper.agent.store import Store
from oomkeeper.model.killer import EventFact
from oomkeeper.model.log import LogRecord
from oomkeeper.resources.containerkill import ContainerKill, ContainerKillStatus
from oomkeeper.resources.oomincident import WorkloadReference

from .pod_samples import IDS, UID, Json, ended, pod, status, table

OTHER_UID = "99999999-1111-2222-3333-444455556666"
START = 1_800_000_000.0
BOOTED = START - 86_400
LIVENESS = "Container app failed liveness probe, will be restarted"


class FirstOf:
    """The first processes that the test names."""

    def __init__(self) -> None:
        self.pids: dict[int, str] = {}

    def container_of(self, pid: int) -> str | None:
        return self.pids.get(pid)

    def knows(self, container_id: str) -> bool:
        return container_id in self.pids.values()


class Node:
    """A node's state; `restart` is the agent's end by kill -9 and its next start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now, self.wall = 86_400.0, START
        self.first = FirstOf()
        self.trace = TraceState(open=True)
        self.answers: dict[str, EventsAnswer] = {}
        self.asked: list[str] = []
        self.pods = table()
        self.workload: WorkloadReference | None = WorkloadReference(kind="Deployment", name="web")
        self.pods._workload_of = lambda _pod: self.workload
        self.start()
        self.tick()
        self.pass_seconds(10)

    def start(self) -> None:
        self.store = Store.open(self.folder)
        self.signals = EndSignals(
            store=self.store,
            pods=self.pods,
            first=self.first,  # type: ignore[arg-type]
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )
        self.claims = KillClaims(
            store=self.store, boot_id="boot-1", clock=lambda: self.now, wall=lambda: self.wall
        )
        self.ends = ContainerEnds(
            store=self.store,
            node="node-a",
            boot_id="boot-1",
            pods=self.pods,
            signals=self.signals,
            claims=self.claims,
            trace=lambda: self.trace,
            events=self.ask,
            since_boot=lambda: self.wall - BOOTED,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    def restart(self) -> None:
        self.store.close()
        self.start()

    def ask(self, of: EventsOf) -> EventsAnswer | None:
        self.asked.append(of.container_id)
        return self.answers.get(of.container_id)

    def tick(self) -> None:
        self.claims.tick()
        self.ends.tick()

    def pass_seconds(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.wall += 0.5
            self.tick()

    def see(self, *statuses: Json, **fields: Any) -> Pod:
        made = pod(*statuses, **fields)
        made = with_lost_runs(made, self.pods.find(made.facts.uid))
        self.pods.put(made)
        self.ends.pod_changed(made)
        return made

    def log(self, text: str, *, kernel: bool = False) -> None:
        """Write a line to the kernel log."""
        record = LogRecord(text.encode(), usec=int(self.now * 1e6), kernel=kernel)
        assert [*self.claims.seen([record])] == [record]

    def killed(self, container_id: str = IDS[0], *, reason: str = "Error", ago: float = 0.0) -> Json:
        at = rfc3339(float(int(self.wall - ago)))
        return status("app", now=ended(container_id, reason=reason, at=at))

    def signal(self, container_id: str | None = IDS[0], *, pid: int = 100, **fields: Any) -> None:
        path = f"/kubepods/pod{UID}/{container_id}" if container_id else None
        sent = SentSignal(
            time_ns=int(self.now * 1e9),
            pid=pid,
            comm="java",
            by_pid=7,
            origin=Origin.PROCESS,
            path=path,
            container_id=container_id,
        )
        self.signals.take(deque([sent._replace(**fields)]))

    def kills(self) -> list[ContainerKill]:
        return [kill for _, kill in self.store.container_kills()]

    def killers(self) -> dict[str, int]:
        return {kill.spec.killer: state(kill).count or 0 for kill in self.kills()}

    def only(self) -> ContainerKillStatus:
        (kill,) = self.kills()
        return state(kill)


def state(kill: ContainerKill) -> ContainerKillStatus:
    assert kill.status is not None
    return kill.status


def event(message: str, at: float, *, reason: str = "Killing") -> EventsAnswer:
    return EventsAnswer((EventFact(reason, message, "app", at, at),))
