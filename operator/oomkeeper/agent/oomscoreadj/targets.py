"""Which processes an oom_score_adj entry names now.

Of pods only those in a cgroup with the id of a container that kubelet reports for a pod of this node: so
never the pause container, which no status lists, and never a pod of another node on the same kernel."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oomkeeper.kernel.bounded_read import read_text
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.members import ContainerFolders, HostProcesses, processes_below, unit_folders
from oomkeeper.resources.oomnode import DesiredAdjustment
from oomkeeper.resources.selector import LabelSelector

from ..pods import Pod, PodTable
from ..selector import keys_of, matches
from .entry import entry_id

NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server gives it to each namespace, with the namespace's name."""
LABELS_UNKNOWN = "NamespaceUnknown"
LOST_SECONDS = 15.0
"""A running container without a cgroup for this time is not just about to end."""

NamespaceLabels = Callable[[str], Mapping[str, str] | None]
"""Labels of a namespace; None while they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one entry names."""

    groups: tuple[frozenset[int], ...] = ()
    """Pids, those of one container (or unit, or comm) together: they have inherited from one another."""
    pods: int | None = None
    """Pods with a container among them; None for an entry about host processes."""
    complete: bool = True
    """False: the entry may name processes that are not known yet, so nothing may be restored."""
    refused: bool = False
    """The entry cannot apply to this host."""
    reason: str | None = None
    """CamelCase; None where there is nothing to report."""
    message: str | None = None


class Targets:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        hierarchy: CgroupHierarchy,
        cgroup_root: Path,
        pods: PodTable | None,
        proc: Path,
        namespaces: NamespaceLabels = lambda _name: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cgroup_root = cgroup_root
        self._pods = pods
        self._proc = proc
        self._namespaces = namespaces
        self._clock = clock
        self._folders = ContainerFolders(hierarchy.mount)
        self._lost: dict[str, float] = {}
        """Running container without a cgroup -> since when."""
        self._looked_at = 0.0

    def find(self, entries: Sequence[DesiredAdjustment], *, host: bool) -> list[Target]:
        """Return the target of each entry, in their order. `host`: whether the host's own processes are this
        node's."""
        selected = {
            entry_id(entry): self._select(entry, entry.pod_selector)
            for entry in entries
            if entry.pod_selector is not None
        }
        folders = self._find_folders({one for found in selected.values() for one in found.containers})
        members: dict[str, frozenset[int]] = {
            one: frozenset(processes_below(folder)) for one, folder in folders.items()
        }
        comms = {entry.process.comm for entry in entries if entry.process is not None}
        by_comm = self._by_comm(comms) if comms and host else {}
        targets = []
        for entry in entries:
            if entry.pod_selector is not None:
                targets.append(self._of_pods(selected[entry_id(entry)], members))
            elif not host:
                targets.append(
                    Target(
                        reason="NotThisNode",
                        message="another node of this kernel adjusts the host's processes",
                    )
                )
            elif entry.systemd_unit is not None:
                targets.append(self._of_unit(entry.systemd_unit))
            else:
                comm = entry.process.comm if entry.process is not None else ""
                targets.append(Target(groups=(frozenset(by_comm.get(comm, ())),)))
        return targets

    # -- pods

    def _select(self, entry: DesiredAdjustment, selector: LabelSelector) -> "_Selected":
        if self._pods is None:
            return _Selected(
                refused=True,
                reason="NoPods",
                message="podSelector needs a cluster: this host has no pods",
            )
        containers: dict[str, Pod] = {}
        unknown: set[str] = set()
        for pod in self._pods.all():
            if not matches(selector, pod.facts.labels):
                continue
            running = [
                one
                for one, state in pod.states.items()
                if state.running and (not entry.containers or state.container in entry.containers)
            ]
            if not running:
                continue
            inside = self._in_namespace(entry, pod.facts.namespace)
            if inside is None:
                unknown.add(pod.facts.namespace)
            elif inside:
                containers |= dict.fromkeys(running, pod)
        if not self._pods.synced:
            # Pods of an earlier run: what they name is adjusted, and nothing is restored.
            return _Selected(
                containers=containers,
                complete=False,
                reason="PodsUnknown",
                message="the API server has not listed this node's pods since the agent started",
            )
        if unknown:
            return _Selected(
                containers=containers,
                complete=False,
                reason=LABELS_UNKNOWN,
                message=f"the labels of {_some(unknown)} are not known: the agent needs to get namespaces",
            )
        return _Selected(containers=containers)

    def _in_namespace(self, entry: DesiredAdjustment, namespace: str) -> bool | None:
        selector = entry.namespace_selector
        if selector is None:
            return True
        if keys_of(selector) <= {NAME_LABEL}:
            return matches(selector, {NAME_LABEL: namespace})
        labels = self._namespaces(namespace)
        return None if labels is None else matches(selector, labels)

    def _find_folders(self, ids: set[str]) -> dict[str, Path]:
        if not ids:
            self._lost.clear()
            return {}
        now = self._clock()
        if self._lost and now - self._looked_at >= LOST_SECONDS:
            self._folders.look_again()
            self._looked_at = now
        folders = self._folders.find(ids)
        self._lost = {one: self._lost.get(one, now) for one in ids - folders.keys()}
        return folders

    def _of_pods(self, selected: "_Selected", members: Mapping[str, frozenset[int]]) -> Target:
        there = {one: pod for one, pod in selected.containers.items() if one in members}
        lost = [
            f"{pod.facts.namespace}/{pod.facts.name}"
            for one, pod in selected.containers.items()
            if one in self._lost and self._clock() - self._lost[one] >= LOST_SECONDS
        ]
        reason, message, complete = selected.reason, selected.message, selected.complete
        if lost and reason is None:
            reason, complete = "CgroupNotFound", False
            message = f"no cgroup found for a running container of {_some(lost)}"
        return Target(
            groups=tuple(members[one] for one in there),
            pods=len({pod.facts.uid for pod in there.values()}),
            complete=complete,
            refused=selected.refused,
            reason=reason,
            message=message,
        )

    # -- the host's own processes

    def _of_unit(self, unit: str) -> Target:
        folders = unit_folders(self._cgroup_root, unit)
        if not folders:
            return Target(reason="NoSuchUnit", message=f"no cgroup of {unit} found on this node")
        return Target(groups=tuple(frozenset(processes_below(one, containers=False)) for one in folders))

    def _by_comm(self, comms: set[str]) -> dict[str, list[int]]:
        """Return processes outside containers by their comm: in a container, anyone who may run a pod could
        choose it."""
        host = HostProcesses(proc=self._proc)
        found: dict[str, list[int]] = {}
        for folder in self._proc.iterdir():
            if not folder.name.isdigit():
                continue
            try:
                comm = read_text(folder / "comm").removesuffix("\n")
            except OSError:
                continue
            if comm in comms and host.has(int(folder.name)):
                found.setdefault(comm, []).append(int(folder.name))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selected:
    """The running containers that an entry about pods names, and whether these are all."""

    containers: Mapping[str, Pod] = field(default_factory=dict)
    complete: bool = True
    refused: bool = False
    reason: str | None = None
    message: str | None = None


def _some(names: "set[str] | list[str]") -> str:
    ordered = sorted(set(names))
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
