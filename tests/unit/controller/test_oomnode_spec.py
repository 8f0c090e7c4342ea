"""Content of OOMNode.spec."""

from oomkeeper.api import OOMNode
from oomkeeper.controller import oomnode_spec

from .builders import DUMPS, entry, node, oomnode


def test_only_oomnodes_that_differ_are_written() -> None:
    wanted = (entry(DUMPS, 1, "p"),)
    nodes = {name: node(name) for name in ("right", "missing", "wrong", "owned-by-another", "more")}
    states = {
        "right": oomnode("right", sysctls=wanted),
        "wrong": oomnode("wrong"),
        "owned-by-another": oomnode("owned-by-another", sysctls=wanted, owner="earlier"),
        "more": oomnode("more", sysctls=wanted, foreign=True),
        "left-over": oomnode("left-over"),
    }
    plan = oomnode_spec.plan(
        nodes=nodes,
        oomnodes=states,
        specs=dict.fromkeys(nodes, oomnode_spec.node_spec(wanted)),
    )
    assert set(plan.apply) == {"missing", "wrong", "owned-by-another", "more"}
    assert [state.name for state in plan.delete] == ["left-over"]


def test_manifest_is_a_valid_oomnode() -> None:
    wanted = (entry(DUMPS, 1, "p"),)
    spec = oomnode_spec.node_spec(wanted)
    manifest = oomnode_spec.manifest(node=node("n"), spec=spec)
    OOMNode.parse(manifest)
    assert oomnode_spec.spec_matches(manifest, spec)
    assert not oomnode_spec.spec_matches(manifest, oomnode_spec.node_spec())
    assert oomnode_spec.up_to_date(None, node=node("n"), spec=spec) is False


def test_oomnode_with_a_different_host_kills_value_is_rewritten() -> None:
    state = oomnode("n")
    assert oomnode_spec.up_to_date(state, node=node("n"), spec=oomnode_spec.node_spec())
    assert not oomnode_spec.up_to_date(state, node=node("n"), spec=oomnode_spec.node_spec(host_kills=False))
