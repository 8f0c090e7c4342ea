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
        "more": oomnode("more", sysctls=wanted, extras=True),
        "left-over": oomnode("left-over"),
    }
    plan = oomnode_spec.plan(
        nodes=nodes,
        oomnodes=states,
        desired=dict.fromkeys(nodes, wanted),
        adjustments={},
        host_kill_nodes=nodes,
    )
    assert set(plan.apply) == {"missing", "wrong", "owned-by-another", "more"}
    assert [state.name for state in plan.delete] == ["left-over"]


def test_manifest_is_a_valid_oomnode() -> None:
    wanted = (entry(DUMPS, 1, "p"),)
    manifest = oomnode_spec.manifest(node=node("n"), sysctls=wanted)
    OOMNode.parse(manifest)
    assert oomnode_spec.spec_matches(manifest, sysctls=wanted)
    assert not oomnode_spec.spec_matches(manifest, sysctls=())
    assert oomnode_spec.up_to_date(None, node=node("n"), sysctls=()) is False


def test_oomnode_with_a_different_host_kills_value_is_rewritten() -> None:
    state = oomnode("n")
    wanted = state.sysctls
    assert oomnode_spec.up_to_date(state, node=node("n"), sysctls=wanted, host_kills=True)
    assert not oomnode_spec.up_to_date(state, node=node("n"), sysctls=wanted, host_kills=False)
