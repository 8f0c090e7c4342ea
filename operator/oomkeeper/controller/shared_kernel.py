"""Nodes that share one kernel, as kind's nodes do: the sysctls of OOM handling are not namespaced.

Such nodes get one value per sysctl (docs/decisions/101-one-value-per-kernel.md), and one of them publishes
the kills that belong to no node's own cgroups.
"""

from collections.abc import Iterable, Mapping

from .objects import Node, OOMNodeState


def boot_ids(nodes: Mapping[str, Node], oomnodes: Mapping[str, OOMNodeState]) -> dict[str, str]:
    """Return the kernel's boot id per node, where kubelet and agent agree on it.

    Every agent may write any boot id into its own OOMNode, so that alone must not make two nodes share a
    kernel: what is decided for one would apply to the other. kubelet reports the boot id in the Node, to
    which the agent cannot write. If the two differ (for some seconds after a boot, or because the agent's is
    forged), the node counts as having a kernel of its own.
    """
    found = {}
    for name, node in nodes.items():
        state = oomnodes.get(name)
        reported = state.boot_id if state else None
        if node.boot_id and (reported is None or reported == node.boot_id):
            found[name] = node.boot_id
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
