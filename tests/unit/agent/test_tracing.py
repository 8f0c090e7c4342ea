"""Names of the trace instances."""

from oomkeeper.agent.tracing import instance_names


def test_nodes_in_containers_do_not_take_the_machines_instances() -> None:
    machine, nodes = instance_names(in_container=False), instance_names(in_container=True)
    assert machine == ("oomkeeper", "oomkeeper-cgroups")
    assert not set(machine) & set(nodes)
