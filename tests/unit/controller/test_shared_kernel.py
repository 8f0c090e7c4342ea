"""Nodes that share one kernel."""

from oomkeeper.controller import shared_kernel
from oomkeeper.controller.precedence import resolve

from .builders import DUMPS, node, oomnode, policy


def test_first_node_of_a_shared_kernel_publishes_host_kills() -> None:
    kernels = {"b": "one", "a": "one", "c": "two"}
    assert shared_kernel.host_kill_publishers(["b", "c", "a", "d"], boot_ids=kernels) == {"a", "c", "d"}


def test_nodes_share_a_kernel_if_their_node_objects_agree() -> None:
    nodes = {name: node(name, boot_id="k") for name in ("a", "b", "c")}
    states = {"a": oomnode("a", boot_id="k"), "b": oomnode("b")}
    assert shared_kernel.boot_ids(nodes, states) == {"a": "k", "b": "k", "c": "k"}


def test_forged_boot_id_of_an_agent_has_no_effect() -> None:
    nodes = {"victim": node("victim", boot_id="k"), "evil": node("evil", boot_id="own")}
    states = {"victim": oomnode("victim", boot_id="k"), "evil": oomnode("evil", boot_id="k")}
    found = shared_kernel.boot_ids(nodes, states)
    assert shared_kernel.groups(nodes, boot_ids=found) == [["evil"], ["victim"]]
    assert shared_kernel.host_kill_publishers(nodes, boot_ids=found) == {"evil", "victim"}
    policies = [
        policy("p", priority=1, nodeSelector={"matchLabels": {"pool": "v"}}, sysctls={DUMPS: 1}),
        policy("q", priority=9, nodeSelector={"matchLabels": {"pool": "e"}}, sysctls={DUMPS: 0}),
    ]
    labelled = [node("victim", boot_id="k", pool="v"), node("evil", boot_id="own", pool="e")]
    resolution = resolve(policies=policies, nodes=labelled, boot_ids=found)
    assert [entry.value for entry in resolution.desired["victim"]] == [1]


def test_boot_id_that_only_the_agent_reports_does_not_count() -> None:
    nodes = {"a": node("a"), "b": node("b", boot_id="k")}
    states = {"a": oomnode("a", boot_id="k"), "b": oomnode("b", boot_id="k")}
    assert shared_kernel.boot_ids(nodes, states) == {"b": "k"}
