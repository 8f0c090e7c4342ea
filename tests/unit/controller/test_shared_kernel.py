"""Nodes that share one kernel."""

from oomkeeper.controller import shared_kernel


def test_first_node_of_a_shared_kernel_publishes_host_kills() -> None:
    kernels = {"b": "one", "a": "one", "c": "two"}
    assert shared_kernel.host_kill_publishers(["b", "c", "a", "d"], boot_ids=kernels) == {"a", "c", "d"}
