"""Everything known and decided about one event, as summary and advice need it."""

from typing import NamedTuple

from ..kernel.cgroup.kubepods import parse_kube_cgroup
from ..model.cause import Cause, ContributorName, Level, Outcome, Scope
from ..model.diagnosis import Contributor
from ..model.kill import Kill, TaskRow, Victim
from ..model.memory import SlabCache
from ..model.node import NodeFacts
from ..model.pod import ContainerFacts, KubeCgroup, PodFacts
from .allocator import Shortage
from .binding import Binding

NO_SHORTAGE = frozenset({Cause.MANUAL_TRIGGER, Cause.EXTERNAL_POLICY, Cause.FRAGMENTATION, Cause.ZONE_MEMORY})
"""Causes for which the contents of memory do not matter."""


class Case(NamedTuple):
    """One event with the decisions made so far."""

    kill: Kill
    node: NodeFacts | None
    pod: PodFacts | None
    scope: Scope
    cause: Cause
    level: Level | None
    outcome: Outcome
    binding: Binding
    shortage: Shortage | None
    contributors: tuple[Contributor, ...]

    @property
    def victim(self) -> Victim | None:
        """The first process that was killed."""
        return self.kill.victims[0] if self.kill.victims else None

    @property
    def victim_cgroup(self) -> KubeCgroup | None:
        """The victim's place in kubelet's tree."""
        task, limit = self.kill.task_memcg, self.kill.oom_memcg
        found = parse_kube_cgroup(task) if task is not None else None
        if (found is None or found.pod_uid is None) and limit is not None and (task is None or found):
            at_limit = parse_kube_cgroup(limit)
            return at_limit if at_limit is not None and (found is None or at_limit.pod_uid) else found
        return found

    @property
    def container(self) -> ContainerFacts | None:
        """The victim's container by its id; without an id, the only container of a pod that has one."""
        if self.pod is None:
            return None
        cgroup = self.victim_cgroup
        if cgroup is not None and cgroup.container_id is not None:
            for container in self.pod.containers:
                if cgroup.container_id in container.container_ids:
                    return container
            return None
        return self.pod.containers[0] if len(self.pod.containers) == 1 else None

    @property
    def is_sandbox(self) -> bool:
        """The victim is the pod's pause process: it was killed because all processes had the same score
        (oom_score_adj -998), not because of its memory use."""
        victim = self.victim
        return (
            victim is not None
            and victim.comm == "pause"
            and self.container is None
            and self.victim_cgroup is not None
        )

    @property
    def equal_container(self) -> ContainerFacts | None:
        """The container whose limit is also the pod's: kubelet gives a pod's cgroup the sum of its
        containers' limits, so with one container both are equal, and the pod's cgroup, which also contains
        the sandbox, usually reaches it first."""
        if self.pod is None or self.level is not Level.POD or self.pod.limit_bytes is not None:
            return None
        running = [one for one in self.pod.containers if one.kind == "Container"]
        if len(running) != 1 or running[0].limit_bytes is None:
            return None
        limit = self.binding.limit_bytes
        return running[0] if limit is None or limit == running[0].limit_bytes else None

    def share(self, *names: ContributorName) -> float:
        """Return the part of the memory, 0 to 1, that these contributors use together."""
        return sum(part.share for part in self.contributors if part.name in names)

    def size(self, *names: ContributorName) -> int:
        """Return the same in bytes."""
        return sum(part.bytes for part in self.contributors if part.name in names)

    def largest_slab(self) -> SlabCache | None:
        """Return the largest slab cache in the report. The kernel lists only unreclaimable ones, and only
        when they outweigh everything else (dump_unreclaimable_slab())."""
        return max(self.kill.memory.slabs, key=lambda cache: cache.total_bytes, default=None)

    def largest_task(self) -> TaskRow | None:
        """Return the process in the table with the most memory, resident and swapped."""
        pages = list(map(task_pages, self.kill.tasks))
        return self.kill.tasks[pages.index(max(pages))] if pages else None

    def task_bytes(self, task: TaskRow) -> int:
        """Return resident and swapped memory of a row."""
        return task_pages(task) * self.kill.memory.page_size_bytes


def no_process_existed(kill: Kill) -> bool:
    """Return whether the kernel found no process and the task table is empty, as early in the boot. A table
    without rows alone shows nothing: the log may end there."""
    return kill.no_killable and kill.table_seen and not kill.tasks and not kill.victims


def task_pages(task: TaskRow) -> int:
    """Return resident and swapped pages."""
    return task.rss_pages + (task.swapents_pages or 0)


def anonymous_bytes(victim: Victim) -> int | None:
    """Return the memory that is certainly charged to the victim's own cgroup: file pages may be charged to
    another cgroup that read them first."""
    if victim.anon_rss_bytes is None:
        return None
    return victim.anon_rss_bytes + (victim.shmem_rss_bytes or 0)


def resident_bytes(victim: Victim) -> int | None:
    """Return the victim's resident memory, without page tables."""
    if victim.anon_rss_bytes is None:
        return None
    return victim.anon_rss_bytes + (victim.file_rss_bytes or 0) + (victim.shmem_rss_bytes or 0)
