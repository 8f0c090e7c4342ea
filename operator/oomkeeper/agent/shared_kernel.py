"""Which node publishes a kill where several nodes share one kernel (kind: each node is a container of one
machine).

Every agent reads the same log and counts every kill. Each kill is published by one node: a kill in a node's
own cgroups by that node, any other by the node that the controller appoints (`OOMNode.spec.hostKills`). The
same appointment decides who adjusts processes that are in no node's container."""

from pathlib import Path

from oomkeeper.kernel.cgroup.kubepods import parse_own_cgroup
from oomkeeper.kernel.node_container import (
    has_kernel_pids,
    in_some_container,
    node_container_id,
    path_inside,
)
from oomkeeper.model.kill import Kill


class SharedKernel:
    """What this node shares with others, and what is its own."""

    def __init__(self, *, container_id: str | None = None, kernel_pids: bool = True) -> None:
        """`container_id`: the container that this node is; None where the node is the machine.
        `kernel_pids` False: /proc numbers processes otherwise than the log."""
        self.container_id = container_id
        self.kernel_pids = kernel_pids
        self.publishes_host_kills = container_id is None
        """Whether kills outside of every node's own cgroups are this node's to publish, by appointment."""

    @classmethod
    def detect(cls, *, proc: Path, in_cluster: bool) -> "SharedKernel":
        """Read it from /proc. A bare host (`in_cluster` False) has no other nodes to agree with."""
        return cls(
            container_id=node_container_id(proc=proc) if in_cluster else None,
            kernel_pids=has_kernel_pids(proc=proc),
        )

    @property
    def owns_host_processes(self) -> bool:
        """Whether processes in no pod's container are this node's to adjust. In a container, /proc shows the
        node's own alone."""
        return self.container_id is not None or self.publishes_host_kills

    def own_path(self, path: str) -> str | None:
        """Return a cgroup path of the log as this node's cgroup file system spells it; None for a path
        outside of this node."""
        return path if self.container_id is None else path_inside(path, container_id=self.container_id)

    def publishes(self, kill: Kill, *, found_here: bool = False) -> bool:
        """Return whether this node publishes a kill of no pod that it knows.

        `found_here`: the cgroup of a kill without a report was found among this node's own. Inside a
        container the log shows every path of the machine; this node's own hold its container's id. A pod's
        cgroup elsewhere is another node's, of this cluster or of another one. So may be any other
        container's, and a kill without a report that was not found among the cgroups here."""
        if self.container_id is None:
            return self.publishes_host_kills
        path = kill.task_memcg or kill.oom_memcg
        if found_here or (path is None and not kill.header_seen):
            return found_here
        if path is not None and self.own_path(path) is not None:
            return True
        elsewhere = path is not None and in_some_container(path)
        in_a_pod = any(parse_own_cgroup(one) for one in (kill.task_memcg, kill.oom_memcg) if one)
        return self.publishes_host_kills and not in_a_pod and not elsewhere
