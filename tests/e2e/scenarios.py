"""Pods that the kernel kills in, each once, and what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .pods import EAT, EAT_IN_CHILD, REST, Json, container, job, pod

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One pod (or what makes one) in a namespace of its own, and its one incident."""

    obj: Json
    container: str
    causes: tuple[str, ...]
    """Causes that the kernel's choice of a limit may lead to."""
    limit_mib: int
    levels: tuple[str, ...] = ("Container", "Pod")
    """Where the kernel may count the limit: with one container, usually at the pod's cgroup."""
    visibility: str = "Reported"
    victim: str = "tail"
    contributor: str = "Anonymous"
    qos: str = "Burstable"
    workload: dict[str, str] | None = None
    """Default: the pod itself."""
    execute: tuple[str, ...] = ()
    """Command run in the container once it runs."""
    says: tuple[str, ...] = field(default=())
    """Words that the summary has."""

    @property
    def pod(self) -> str:
        """How the pod's name begins."""
        return str(self.obj["metadata"]["name"])


def _marked(script: str) -> str:
    """A script for a container that is started again: it eats the first time only."""
    return f"[ -e /mark/eaten ] || {{ touch /mark/eaten; {script}; }}; {REST}"


_MARK: dict[str, Any] = {"volumeMounts": [{"name": "mark", "mountPath": "/mark"}]}
_MARK_VOLUME: Json = {"name": "mark", "emptyDir": {}}
_MEMORY_VOLUME: Json = {"name": "scratch", "emptyDir": {"medium": "Memory"}}
# A good part of a pod's memory, held in a shell variable for as long as the shell has a command to come; and
# to wait for it.
_HOLD = "held=$(yes | head -c 12000000)"
_AFTER = "until [ -e /mark/held ]; do sleep 0.2; done"

SCENARIOS = {
    "alone": Scenario(
        obj=pod("alone", container("app", EAT)), container="app", causes=("ContainerLimit",), limit_mib=32
    ),
    "one-of-two": Scenario(
        obj=pod("one-of-two", container("quiet", REST), container("hungry", EAT)),
        container="hungry",
        causes=("ContainerLimit",),
        levels=("Container",),
        limit_mib=32,
    ),
    "init-container": Scenario(
        obj=pod("init-container", container("app", REST, limit=None), init=[container("prepare", EAT)]),
        container="prepare",
        causes=("ContainerLimit",),
        levels=("Container",),
        limit_mib=32,
    ),
    "sidecar": Scenario(
        obj=pod(
            "sidecar",
            container("app", REST, limit=None),
            init=[container("proxy", _marked(EAT), restartPolicy="Always", **_MARK)],
            volumes=[_MARK_VOLUME],
        ),
        container="proxy",
        causes=("ContainerLimit",),
        levels=("Container",),
        limit_mib=32,
    ),
    "child": Scenario(
        obj=pod("child", container("app", EAT_IN_CHILD)),
        container="app",
        causes=("ContainerLimit",),
        limit_mib=32,
        visibility="Invisible",
    ),
    "tmpfs": Scenario(
        obj=pod(
            "tmpfs",
            container(
                "app",
                "exec dd if=/dev/zero of=/scratch/file bs=1M count=100",
                volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
            ),
            volumes=[_MEMORY_VOLUME],
        ),
        container="app",
        causes=("ContainerLimit",),
        limit_mib=32,
        victim="dd",
        contributor="SharedMemory",
    ),
    "exec": Scenario(
        obj=pod("exec", container("app", REST)),
        container="app",
        causes=("ContainerLimit",),
        limit_mib=32,
        visibility="Invisible",
        execute=("tail", "/dev/zero"),
    ),
    "guaranteed": Scenario(
        obj=pod("guaranteed", container("app", EAT, cpu="50m")),
        container="app",
        causes=("ContainerLimit",),
        limit_mib=32,
        qos="Guaranteed",
    ),
    "pod-resources": Scenario(
        # Each within its own limit, both together beyond the pod's.
        obj=pod(
            "pod-resources",
            container(
                "holds",
                f"{_HOLD}; touch /mark/held; sleep 100000; exit",
                limit="40Mi",
                request="8Mi",
                **_MARK,
            ),
            container("eats", f"{_AFTER}; {EAT}", limit="40Mi", request="8Mi", **_MARK),
            resources={"limits": {"memory": "48Mi"}},
            volumes=[_MARK_VOLUME],
        ),
        container="eats",
        causes=("PodLimit",),
        levels=("Pod",),
        limit_mib=48,
    ),
    "job": Scenario(
        # Deleted as soon as it has failed: its pod can no longer be queried.
        obj=job("job", container("app", EAT), ttlSecondsAfterFinished=0),
        container="app",
        causes=("ContainerLimit",),
        limit_mib=32,
        workload={"kind": "Job", "name": "job"},
    ),
}
