"""Evaluate a plan on this node."""

import time
from collections.abc import Callable

from oomkeeper.diagnosis.killer_sentences import unit_of
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.kubepods import parse_own_cgroup
from oomkeeper.kernel.cgroup.namespace import CgroupNamespace
from oomkeeper.kernel.meminfo import read_node_memory
from oomkeeper.kernel.sysctl import SysctlError, Sysctls
from oomkeeper.model.escaping import printable
from oomkeeper.model.node import NodeFacts
from oomkeeper.model.policy import OOMChoice
from oomkeeper.resources.oomnode import NodePlan, PlannedSysctl

from ..desired import Desired
from ..host_paths import HostPaths
from ..kubelet import KubeletFacts
from ..oomscoreadj.enforcer import KEEP_NOTE
from ..oomscoreadj.targets import NamespaceLabels, Targets
from ..pods import PodTable
from ..shared_kernel import SharedKernel
from ..store import Store
from .adjustments import plan_adjustments
from .rehearsal import rehearse
from .victims import victims

_PANIC, _ALLOCATING = "vm.panic_on_oom", "vm.oom_kill_allocating_task"


class Planner:
    """Reads the node and its state, and writes neither."""

    def __init__(
        self,
        *,
        store: Store | None,
        facts: NodeFacts,
        host: HostPaths,
        hierarchy: CgroupHierarchy,
        pods: PodTable | None,
        shared: SharedKernel,
        kubelet: Callable[[], KubeletFacts | None],
        namespaces: NamespaceLabels = lambda _name: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`store` None: no agent has run here. `pods` None: a bare host."""
        self._store = store
        self._facts = facts
        self._host = host
        self._hierarchy = hierarchy
        self._pods = pods
        self._shared = shared
        self._kubelet = kubelet
        self._namespaces = namespaces
        self._clock = clock
        self._wall = wall

    def evaluate(self, desired: Desired, *, id: str, expires: str) -> NodePlan:
        """Return what enforcing `desired` instead of the present settings would do now. Never raises for
        what one process does; raises OSError where /proc cannot be read."""
        host, store = self._host, self._store
        real = Sysctls(root=host.sysctl_root)
        sysctls = rehearse(
            desired,
            store=store,
            sysctls=real,
            boot_id=self._facts.boot_id,
            memory=lambda: read_node_memory(proc=host.proc),
            etc=host.etc,
            kubelet=self._kubelet(),
            kubelet_expected=self._pods is not None,
            clock=self._clock,
            wall=self._wall,
        )
        targets = Targets(
            hierarchy=self._hierarchy,
            cgroup_root=host.cgroup,
            pods=self._pods,
            proc=host.proc,
            namespaces=self._namespaces,
            clock=self._clock,
        ).find(desired.adjustments, host=self._shared.owns_host_processes)
        adjusted = plan_adjustments(
            desired.adjustments,
            targets,
            held=store.adjustments() if store is not None else {},
            kept=(store.note(KEEP_NOTE, list[str]) or ()) if store is not None else (),
            proc=host.proc,
        )
        namespace = CgroupNamespace(self._hierarchy)
        return NodePlan(
            id=id,
            expires=expires,
            problem="; ".join(desired.problems)[:256] or None,
            sysctls=sysctls,
            oom_score_adjustments=adjusted.entries,
            restored_processes=adjusted.restored,
            choice_before=_choice(real, ()),
            choice_after=_choice(real, sysctls),
            processes=victims(
                adjusted.changes,
                proc=host.proc,
                release=self._facts.kernel_release,
                where=lambda pid: self._where(namespace.path_of(pid)),
            ),
        )

    def _where(self, path: str | None) -> str | None:
        """Return the pod and container, or the unit, of a cgroup."""
        if path is None:
            return None
        kube = parse_own_cgroup(path)
        if kube is None:
            unit = unit_of(path)
            return printable(unit)[:200] if unit else None
        pod = self._pods.find(kube.pod_uid) if self._pods is not None and kube.pod_uid else None
        if pod is None:
            return f"pod {kube.pod_uid}"[:200] if kube.pod_uid else None
        state = pod.states.get(kube.container_id or "")
        name = f"{pod.facts.namespace}/{pod.facts.name}"
        return (f"{name} {state.container}" if state is not None else name)[:200]


def _choice(real: Sysctls, planned: tuple[PlannedSysctl, ...]) -> str | None:
    """Return what an OOM of the whole node does (mm/oom_kill.c, out_of_memory())."""
    values: dict[str, int | None] = {one.name: one.after for one in planned}
    for key in (_PANIC, _ALLOCATING):
        if key not in values:
            try:
                values[key] = real.read(key)
            except SysctlError:
                values[key] = None
    if values[_PANIC] is None:
        return None
    if values[_PANIC]:
        return str(OOMChoice.PANIC)
    return str(OOMChoice.ALLOCATING_TASK if values[_ALLOCATING] else OOMChoice.HIGHEST_SCORE)
