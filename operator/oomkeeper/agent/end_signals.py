"""SIGKILLs to the containers of this node, kept until the container's end is explained."""

import time
from collections import deque
from collections.abc import Callable

from oomkeeper.diagnosis.killer import is_runtime
from oomkeeper.kernel.cgroup.kubepods import parse_own_cgroup
from oomkeeper.kernel.node_container import in_some_container
from oomkeeper.model.killer import KillSignal, SenderPlace
from oomkeeper.model.pod import KubeCgroup

from .clock import rfc3339, wall_of_kernel_time
from .first_processes import FirstProcesses
from .kill_senders import SentSignal
from .pods import Pod, PodTable
from .signal_origin import Origin
from .store import Store

KEPT_TO_FIRST = 2
KEPT_TO_OTHERS = 6
"""Signals kept for each container: the first of those to its first process, the last of the others."""
UNPLACED = 64
"""Times kept of signals to processes whose cgroup is not known."""


class EndSignals:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        pods: PodTable,
        first: FirstProcesses,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._pods = pods
        self._first = first
        self._clock = clock
        self._wall = wall
        self._unplaced: deque[float] = deque(maxlen=UNPLACED)

    def take(self, signals: deque[SentSignal]) -> None:
        """Store the signals to containers, and take all of them out."""
        found: dict[str, list[KillSignal]] = {}
        while signals:
            sent = signals.popleft()
            if sent.container_id is not None:
                found.setdefault(sent.container_id, []).append(self._kill_signal(sent))
            elif sent.path is None and not sent.elsewhere:
                self._unplaced.append(self._at(sent))
        if not found:
            return
        with self._store.transaction():
            for container_id, new in found.items():
                kept = _kept((*self._store.container_signals(container_id), *new))
                self._store.put_container_signals(container_id, kept, time=rfc3339(new[-1].at))

    def unplaced_near(self, ended_at: float, *, seconds: float) -> int:
        """Return how many signals shortly before the end of a container hit a process whose cgroup is not
        known."""
        return sum(-seconds <= at - ended_at <= seconds for at in self._unplaced)

    def _at(self, sent: SentSignal) -> float:
        return wall_of_kernel_time(sent.time_ns // 1000, now=self._wall(), uptime=self._clock())

    def _kill_signal(self, sent: SentSignal) -> KillSignal:
        container_id = sent.container_id or ""
        main = None
        if self._first.container_of(sent.pid) == container_id:
            main = True
        elif self._first.knows(container_id):
            main = False
        signal = KillSignal(
            at=self._at(sent),
            pid=sent.pid,
            comm=sent.comm,
            main=main,
            sender_pid=sent.by_pid,
            sender_place=SenderPlace.UNKNOWN,
            sender_comm=sent.by_comm,
            sender_exe=sent.by_exe,
            sender_cgroup=sent.by_path,
            sender_gone=sent.by_gone,
        )
        if sent.origin is Origin.OOM_KILLER:
            return signal._replace(sender_place=SenderPlace.OOM_KILLER)
        if sent.origin is Origin.KERNEL:
            return signal._replace(sender_place=SenderPlace.KERNEL)
        if sent.by_elsewhere:
            return signal._replace(sender_place=SenderPlace.HOST)
        return self._placed(signal, sent) if sent.by_path is not None else signal

    def _placed(self, signal: KillSignal, sent: SentSignal) -> KillSignal:
        """Return the signal with the sender's place by its cgroup. A runtime's name counts outside of
        containers alone."""
        path = sent.by_path or "/"
        kube = parse_own_cgroup(path)
        if kube is not None and kube.container_id is not None:
            return self._in_container(signal, kube, hit=sent.container_id)
        if kube is not None and kube.pod_uid is not None and kube.segment != "sandbox":
            return self._in_container(signal, kube, hit=sent.container_id)
        # CRI-O puts its monitor into a cgroup of the pod's.
        if is_runtime(sent.by_comm) and (kube is not None or not in_some_container(path)):
            return signal._replace(sender_place=SenderPlace.RUNTIME)
        return signal._replace(sender_place=SenderPlace.HOST)

    def _in_container(self, signal: KillSignal, kube: KubeCgroup, *, hit: str | None) -> KillSignal:
        if kube.container_id is not None and kube.container_id == hit:
            return signal._replace(sender_place=SenderPlace.CONTAINER)
        pod = self._pods.find(kube.pod_uid or "")
        name = f"{pod.facts.namespace}/{pod.facts.name}" if pod is not None else kube.pod_uid
        same = pod is not None and any(hit in one.container_ids for one in pod.facts.containers)
        return signal._replace(
            sender_place=SenderPlace.SAME_POD if same else SenderPlace.OTHER_POD,
            sender_pod=name,
            sender_container=_container_name(pod, kube.container_id),
        )


def _container_name(pod: Pod | None, container_id: str | None) -> str | None:
    for container in pod.facts.containers if pod is not None else ():
        if container_id is not None and container_id in container.container_ids:
            return container.name
    return None


def _kept(signals: tuple[KillSignal, ...]) -> tuple[KillSignal, ...]:
    first = [one for one in signals if one.main][:KEPT_TO_FIRST]
    others = [one for one in signals if not one.main][-KEPT_TO_OTHERS:]
    return tuple(sorted((*first, *others), key=lambda one: one.at))
