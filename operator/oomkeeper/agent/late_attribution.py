"""Attribute kills whose pod was not known when they were recorded: while the API server was away, or the
pod's watch was behind.

Such a kill is in the store with everything that the kernel reported. It is not counted before the node's pods
were listed once; if its pod is not among them, it is counted as a kill of its cgroup. When the pod becomes
known later, the kill is moved to the pod's incident."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from oomkeeper.logformat import get_logger
from oomkeeper.model.node import NodeFacts

from .attribution import Attribution, Subject, attribute
from .clock import parse_rfc3339, rfc3339
from .ended_runs import EARLIER_SECONDS, LATER_SECONDS, EndedRun, runs_ended_by_kill
from .incident_counts import store_kill, uncount_kill
from .kill_record import record_of
from .pods import PodTable
from .store import Store, UnidentifiedKill

log = get_logger(__name__)

PATIENCE_SECONDS = {"pod": 15.0, "container": 60.0, "status": 15.0, "workload": math.inf}
"""How long a kill waits, once the node's pods are known, for its pod to appear in the API, or for the
container's id in the status of a known pod. kubelet may write the ids only once all containers of the pod
have been started, which takes its time on a node short of CPU. A kill in the pod's own cgroup waits for the
status of the container that it ended. A
workload is waited for until the API server has answered: without it nothing can be published."""
OTHERS_SECONDS = 3.0
"""How long after the first status of a container that the kill may have ended those of others are waited
for: the end of a sandbox ends all containers of the pod."""
MAX_KILLS = 1000
"""Kills without a known pod that are kept; beyond them the oldest are counted by what is known of them."""


class LateAttribution:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        facts: NodeFacts,
        node: str,
        pods: PodTable,
        operator_namespace: str,
        node_container: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._facts = facts
        self._node = node
        self._pods = pods
        self._namespace = operator_namespace
        self._node_container = node_container
        self._clock = clock
        self._wall = wall
        self._kills = store.unidentified()
        self._counted = {
            kill_id
            for kill_id in self._kills
            if (stored := store.kill(kill_id)) is not None and stored.incident is not None
        }
        """Kills that are counted for their cgroup."""
        self._since: dict[str, float] = {}
        """Kill -> when its pod was first looked for among the listed ones."""
        self._ended_since: dict[str, float] = {}
        """Kill -> when the first container that it may have ended was found."""

    def add(self, kill_id: str, kill: UnidentifiedKill) -> None:
        """Keep a kill whose pod is not known. Call it within the transaction that stores the kill."""
        self._kills.pop(kill_id, None)
        self._kills[kill_id] = kill
        self._store.put_unidentified(kill_id, kill)

    def retry(self) -> None:
        """Count what can be attributed now, or has waited long enough."""
        while len(self._kills) > MAX_KILLS:
            self._give_up(next(iter(self._kills)))
        for kill_id, kill in list(self._kills.items()):
            if self._pods.find(kill.pod_uid) is None and (kill_id in self._counted or not self._pods.synced):
                continue
            stored = self._store.kill(kill_id)
            if stored is None:
                self._drop(kill_id)  # too old: the incident stays as it is
                continue
            found = attribute(
                kill.kill, node=self._node, pods=self._pods, node_container=self._node_container
            )
            subject = found.subject
            if found.waiting_for is not None:
                overdue = self._overdue(kill_id, found.waiting_for)
                ended = self._ended_runs(kill_id, found, when=stored.time, overdue=overdue)
                if not ended and not overdue:
                    continue
                if len(ended) == 1:
                    subject, kill = _named_by_status(subject, kill, ended[0])
            self._count(kill_id, kill, subject=subject, counted_in=stored.incident, when=stored.time)

    @property
    def crowded(self) -> bool:
        """Whether what is left of the room is for new kills."""
        return len(self._kills) >= MAX_KILLS // 2

    @property
    def waiting(self) -> bool:
        """Whether a kill waits for a time to pass."""
        return bool(self._since)

    def _overdue(self, kill_id: str, missing: str) -> bool:
        if not self._pods.synced:
            return False
        since = self._since.setdefault(kill_id, self._clock())
        return self._clock() - since >= PATIENCE_SECONDS[missing]

    def _ended_runs(self, kill_id: str, found: Attribution, *, when: str, overdue: bool) -> list[EndedRun]:
        """Return the containers that the kill may have ended, of a pod whose cgroup names none of them; empty
        while it is too early to decide."""
        pod = found.subject.pod
        if pod is None or not self._pods.synced or found.waiting_for not in ("container", "status"):
            return []
        if found.waiting_for == "container" and pod.facts.runtime_class is None and not overdue:
            return []  # Without a sandbox the id is that of a container whose status is yet to come.
        killed_at = parse_rfc3339(when)
        runs = runs_ended_by_kill(pod, killed_at=killed_at)
        if not runs:
            return []
        since = self._ended_since.setdefault(kill_id, self._clock())
        if not overdue and self._clock() - since < OTHERS_SECONDS:
            return []
        kills = self._store.kills_of_pod(
            (pod.facts.uid, pod.facts.cgroup_uid),
            since=rfc3339(killed_at - LATER_SECONDS - EARLIER_SECONDS),
            until=rfc3339(killed_at + LATER_SECONDS + EARLIER_SECONDS),
        )
        killed_itself = {kill.record.container_id for kill in kills}
        left = [run for run in runs if run.container_id not in killed_itself]
        if not left:
            del self._ended_since[kill_id]  # looked at again after as long
        return left

    def _count(
        self,
        kill_id: str,
        kill: UnidentifiedKill,
        *,
        subject: Subject,
        counted_in: str | None,
        when: str,
    ) -> None:
        record = record_of(
            kill.kill,
            kill_id=kill_id,
            when=when,
            subject=subject,
            facts=self._facts,
            inferred=kill.inferred,
            before_install=kill.before_install,
        )
        with self._store.transaction():
            if counted_in is not None:
                uncount_kill(self._store, key=counted_in, kill_id=kill_id, when=when)
                self._store.release_kill(kill_id)
            store_kill(
                self._store,
                record=record,
                when=when,
                subject=subject,
                moved=counted_in is not None,
                operator_namespace=self._namespace,
                wall=self._wall(),
            )
            if subject.pod is not None:
                self._drop(kill_id)
        self._counted.add(kill_id)
        self._since.pop(kill_id, None)
        self._ended_since.pop(kill_id, None)
        log.info(
            "kill attributed",
            id=kill_id,
            namespace=subject.pod.facts.namespace if subject.pod else None,
            pod=subject.pod.facts.name if subject.pod else None,
            container=subject.container,
            moved=counted_in is not None,
        )

    def _give_up(self, kill_id: str) -> None:
        """Look no longer for the pod of a kill; count it, if it is not counted yet."""
        kill, stored = self._kills[kill_id], self._store.kill(kill_id)
        if stored is not None and kill_id not in self._counted:
            found = attribute(
                kill.kill, node=self._node, pods=self._pods, node_container=self._node_container
            )
            self._count(kill_id, kill, subject=found.subject, counted_in=stored.incident, when=stored.time)
        self._drop(kill_id)

    def _drop(self, kill_id: str) -> None:
        self._kills.pop(kill_id, None)
        self._counted.discard(kill_id)
        self._since.pop(kill_id, None)
        self._ended_since.pop(kill_id, None)
        self._store.drop_unidentified(kill_id)


def _named_by_status(
    subject: Subject, kill: UnidentifiedKill, run: EndedRun
) -> tuple[Subject, UnidentifiedKill]:
    """Return the subject with the container that the kill ended, and the kill with how that was found."""
    named = replace(subject, container=run.state.container, container_id=run.container_id)
    inferred = f"{kill.inferred} {run.how_named}" if kill.inferred else run.how_named
    return named, replace(kill, inferred=inferred)
