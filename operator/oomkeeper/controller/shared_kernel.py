"""Nodes that share one kernel, as kind's nodes do: the sysctls of OOM handling are not namespaced.

Such nodes get one value per sysctl (docs/decisions/101-one-value-per-kernel.md), and one of them publishes
the kills that belong to no node's own cgroups.
"""

from collections.abc import Iterable, Mapping

from .objects import Node, OOMNodeState


def boot_ids(nodes: Mapping[str, Node], oomnodes: Mapping[str, OOMNodeState]) -> dict[str, str]:
    """Return the kernel's boot id per node, where known.

    The agent's value counts before kubelet's, which dates from kubelet's start.
    """
    found = {}
    for name, node in nodes.items():
        state = oomnodes.get(name)
        boot_id = (state.boot_id if state else None) or node.boot_id
        if boot_id:
            found[name] = boot_id
    return found


def groups(nodes: Iterable[str], *, boot_ids: Mapping[str, str]) -> list[list[str]]:
    """Return the nodes grouped by kernel, each group sorted by name.

    A node whose kernel is not known is taken to have one of its own.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(nodes):
        found.setdefault(boot_ids.get(name, f"node/{name}"), []).append(name)
    return list(found.values())


def host_kill_publishers(nodes: Iterable[str], *, boot_ids: Mapping[str, str]) -> frozenset[str]:
    """Return the nodes whose agents publish host kills: the first by name of each kernel."""
    return frozenset(group[0] for group in groups(nodes, boot_ids=boot_ids))
