"""The first process of each running container: its end ends the container.

A runtime makes it and moves it to the container's cgroup; whatever joins later (a child, kubectl exec) has
started later. So it is the oldest process there."""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

import msgspec

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.members import ContainerFolders, processes_below

from .pods import PodTable
from .process_cgroups import started_ns_of
from .records import StoredRecord
from .store import Store

NOTE = "first processes"
"""Name in the store of what is known."""
LOOK_SECONDS = 1.0
"""Between two looks for containers whose cgroup was not found."""
ATTEMPTS = 5
MOST_PROCESSES = 4096
"""Processes looked at in one container."""


class _First(NamedTuple):
    pid: int
    started_ns: int


class _Known(StoredRecord, frozen=True, kw_only=True):
    """The first processes, as the state keeps them for the next run of the agent."""

    boot: str
    pids: dict[str, _First] = msgspec.field(default_factory=dict)


class FirstProcesses:
    """`look` is for the loop's thread, `container_of` for any."""

    def __init__(
        self,
        *,
        hierarchy: CgroupHierarchy,
        pods: PodTable,
        store: Store,
        boot_id: str,
        kernel_pids: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over what an earlier run knew: a container may have ended since. `kernel_pids` False: /proc
        does not number processes as the kernel's trace does (kind), so no first process is known."""
        self._store = store
        self._boot_id = boot_id
        self._proc = hierarchy.proc
        self._pods = pods
        self._clock = clock
        self._folders = ContainerFolders(hierarchy.mount)
        self._known: dict[str, _First] = {}
        self._by_pid: dict[int, str] = {}
        self._attempts: dict[str, int] = {}
        self._look_at = 0.0
        self._kernel_pids = kernel_pids
        stored = store.note(NOTE, _Known) if kernel_pids else None
        if stored is not None and stored.boot == boot_id:
            self._known = dict(stored.pids)
            self._by_pid = {first.pid: container_id for container_id, first in self._known.items()}

    def look(self) -> None:
        """Find the first process of each container that kubelet reports running; forget those of others once
        their pod is gone."""
        if not self._kernel_pids:
            return
        before = set(self._known)
        self._look()
        if before != set(self._known):
            self._store.put_note(NOTE, _Known(boot=self._boot_id, pids=self._known))

    def _look(self) -> None:
        running = {
            container_id
            for pod in self._pods.all()
            for container_id, state in pod.states.items()
            if state.running
        }
        reported = {container_id for pod in self._pods.all() for container_id in pod.states}
        for container_id in [one for one in self._known if one not in reported]:
            self._forget(container_id)
        self._attempts = {one: count for one, count in self._attempts.items() if one in running}
        wanted = {one for one in running if one not in self._known and self._attempts.get(one, 0) < ATTEMPTS}
        if not wanted:
            return
        now = self._clock()
        if any(one in self._attempts for one in wanted) and now >= self._look_at:
            self._folders.look_again()
        elif all(one in self._attempts for one in wanted):
            return
        self._look_at = now + LOOK_SECONDS
        folders = self._folders.find(running)
        for container_id in wanted:
            folder = folders.get(container_id)
            first = self._oldest(processes_below(folder)) if folder is not None else None
            if first is None:
                self._attempts[container_id] = self._attempts.get(container_id, 0) + 1
            else:
                self._attempts.pop(container_id, None)
                self._known[container_id] = first
                self._by_pid[first.pid] = container_id

    @property
    def waiting(self) -> bool:
        """Return whether a container is to be looked for again."""
        return any(count < ATTEMPTS for count in self._attempts.values())

    def container_of(self, pid: int) -> str | None:
        """Return the container whose first process has, or had until its end, this number."""
        return self._by_pid.get(pid)

    def knows(self, container_id: str) -> bool:
        """Return whether the container's first process is known."""
        return container_id in self._known

    def _oldest(self, pids: Iterable[int]) -> _First | None:
        found: _First | None = None
        for pid in islice(pids, MOST_PROCESSES):
            started = started_ns_of(self._proc / str(pid))
            if started is not None and (found is None or (started, pid) < (found.started_ns, found.pid)):
                found = _First(pid, started)
        return found

    def _forget(self, container_id: str) -> None:
        first = self._known.pop(container_id)
        if self._by_pid.get(first.pid) == container_id:
            del self._by_pid[first.pid]
