"""Which policy holds which sysctl where."""

import itertools
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.controller.objects import Node, Policy, selects
from oomkeeper.controller.precedence import Override, Resolution, precedence, resolve
from oomkeeper.resources.oomnode import OOMNodeSpec

from .builders import ALLOCATING, DUMPS, node, policy
from .builders import entry as desired_sysctl


def held(resolution: Resolution, node: str) -> dict[str, tuple[int, str]]:
    return {entry.name: (entry.value, entry.policy) for entry in resolution.desired[node]}


def settle(policies: Sequence[Policy], nodes: Sequence[Node], **boot_ids: str) -> Resolution:
    return resolve(policies=policies, nodes=nodes, boot_ids=boot_ids)


def test_policy_without_selector_applies_to_every_linux_node() -> None:
    found = settle([policy("p", sysctls={DUMPS: 1})], [node("a"), node("b"), node("w", linux=False)])
    assert found.desired.keys() == {"a", "b"}
    assert held(found, "a") == {DUMPS: (1, "p")}
    assert found.matched == {"p": ("a", "b")}


def test_unselected_node_has_no_sysctls() -> None:
    found = settle(
        [policy("p", nodeSelector={"matchLabels": {"pool": "x"}}, sysctls={DUMPS: 1})], [node("a", pool="y")]
    )
    assert found.desired == {"a": ()}
    assert found.matched == {"p": ()}


def test_equal_priority_goes_to_the_older_then_the_name() -> None:
    nodes = [node("a")]
    older = settle(
        [policy("a", created=2.0, sysctls={DUMPS: 1}), policy("z", created=1.0, sysctls={DUMPS: 0})], nodes
    )
    assert held(older, "a") == {DUMPS: (0, "z")}
    named = settle([policy("z", sysctls={DUMPS: 1}), policy("a", sysctls={DUMPS: 0})], nodes)
    assert held(named, "a") == {DUMPS: (0, "a")}


def test_override_by_the_same_value_counts_no_difference() -> None:
    found = settle(
        [policy("low", priority=1, sysctls={DUMPS: 1}), policy("high", priority=2, sysctls={DUMPS: 1})],
        [node("a"), node("b")],
    )
    count = found.overrides["low"][Override(DUMPS, "high")]
    assert (count.nodes, count.differing) == (2, 0)
    assert "high" not in found.overrides


def test_suspended_deleted_and_invalid_policies_set_nothing() -> None:
    found = settle(
        [
            policy("s", suspend=True, sysctls={DUMPS: 1}),
            policy("d", deleting=True, sysctls={DUMPS: 1}),
            policy("i", invalid="spec: wrong"),
        ],
        [node("a")],
    )
    assert found.desired == {"a": ()}
    assert found.matched == {"s": ("a",), "i": ()}


def test_desired_sysctl_carries_the_policys_settings() -> None:
    found = settle(
        [
            policy(
                "p",
                sysctls={"vm.panic_on_oom": 1},
                mode="Audit",
                persistence="Persistent",
                onRelease="Keep",
                panicSafety={"acknowledge": ["NodePanic", "KubeletConflict"]},
            )
        ],
        [node("a")],
    )
    (only,) = found.desired["a"]
    assert (only.mode, only.persistence, only.on_release) == ("Audit", "Persistent", "Keep")
    assert only.acknowledge == ("KubeletConflict", "NodePanic")


def test_audit_never_overrides_enforce() -> None:
    policies = [
        policy("audit", priority=9, mode="Audit", sysctls={DUMPS: 1, ALLOCATING: 1}),
        policy("enforce", priority=1, sysctls={DUMPS: 0}),
    ]
    found = settle(policies, [node("a")])
    assert held(found, "a") == {DUMPS: (0, "enforce"), ALLOCATING: (1, "audit")}
    assert found.overrides["audit"].keys() == {Override(DUMPS, "enforce")}


def test_shared_kernel_gets_the_value_of_the_highest_precedence() -> None:
    policies = [
        policy("of-a", priority=2, nodeSelector={"matchLabels": {"pool": "a"}}, sysctls={DUMPS: 1}),
        policy("of-b", priority=1, nodeSelector={"matchLabels": {"pool": "b"}}, sysctls={DUMPS: 0}),
    ]
    nodes = [node("a", pool="a"), node("b", pool="b"), node("c", pool="c"), node("far", pool="b")]
    found = settle(policies, nodes, a="k", b="k", c="k", far="other")
    assert held(found, "a") == held(found, "b") == {DUMPS: (1, "of-a")}
    assert held(found, "c") == {}, "a node that no policy selects is not changed"
    assert held(found, "far") == {DUMPS: (0, "of-b")}
    count = found.overrides["of-b"][Override(DUMPS, "of-a")]
    assert (count.nodes, count.shared_kernel) == (1, 1)


def test_equal_values_on_a_shared_kernel_do_not_conflict() -> None:
    policies = [
        policy("of-a", nodeSelector={"matchLabels": {"pool": "a"}}, sysctls={DUMPS: 1}),
        policy("of-b", nodeSelector={"matchLabels": {"pool": "b"}}, sysctls={DUMPS: 1}),
    ]
    found = settle(policies, [node("a", pool="a"), node("b", pool="b")], a="k", b="k")
    assert held(found, "a") == {DUMPS: (1, "of-a")}
    assert held(found, "b") == {DUMPS: (1, "of-b")}
    assert not found.overrides


def test_audit_on_a_shared_kernel_keeps_its_own_value() -> None:
    policies = [
        policy("of-a", nodeSelector={"matchLabels": {"pool": "a"}}, sysctls={DUMPS: 1}),
        policy("of-b", nodeSelector={"matchLabels": {"pool": "b"}}, sysctls={DUMPS: 0}, mode="Audit"),
    ]
    found = settle(policies, [node("a", pool="a"), node("b", pool="b")], a="k", b="k")
    assert held(found, "b") == {DUMPS: (0, "of-b")}


def modes(resolution: Resolution) -> dict[str, list[str]]:
    return {node: [entry.mode for entry in entries] for node, entries in resolution.desired.items()}


def test_one_agent_of_a_shared_kernel_enforces_and_the_others_report() -> None:
    policies = [policy("p", sysctls={DUMPS: 1})]
    nodes = [node(name) for name in ("c", "b", "a", "far")]
    found = settle(policies, nodes, a="k", b="k", c="k", far="other")
    assert modes(found) == {"a": ["Enforce"], "b": ["Audit"], "c": ["Audit"], "far": ["Enforce"]}
    assert held(found, "b") == {DUMPS: (1, "p")}


def test_agent_that_enforces_goes_on_when_a_node_joins_its_kernel() -> None:
    policies = [policy("p", sysctls={DUMPS: 1})]
    present = {"b": OOMNodeSpec(sysctls=(desired_sysctl(DUMPS, 0, "earlier"),)), "a": OOMNodeSpec()}
    nodes = [node("a"), node("b")]
    found = resolve(policies=policies, nodes=nodes, boot_ids={"a": "k", "b": "k"}, present=present)
    assert modes(found) == {"a": ["Audit"], "b": ["Enforce"]}
    alone = resolve(policies=policies, nodes=nodes[:1], boot_ids={"a": "k", "b": "k"}, present=present)
    assert modes(alone) == {"a": ["Enforce"]}


KEYS = st.sampled_from([DUMPS, ALLOCATING, "vm.swappiness"])
SELECTORS = st.sampled_from(
    [
        None,
        {},
        {"matchLabels": {"pool": "a"}},
        {"matchLabels": {"pool": "b", "zone": "1"}},
        {"matchExpressions": [{"key": "pool", "operator": "NotIn", "values": ["a"]}]},
        {"matchExpressions": [{"key": "zone", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]},
    ]
)


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    made = []
    for number in range(draw(st.integers(0, 5))):
        spec = {
            "priority": draw(st.integers(0, 2)),
            "sysctls": draw(st.dictionaries(KEYS, st.integers(0, 1))),
            "mode": draw(st.sampled_from(["Enforce", "Audit"])),
            "suspend": draw(st.booleans()),
        }
        selector = draw(SELECTORS)
        if selector is not None:
            spec["nodeSelector"] = selector
        made.append(policy(f"p{number}", created=float(draw(st.integers(0, 2))), **spec))
    return made


@st.composite
def nodes(draw: st.DrawFn) -> list[Node]:
    labels = st.dictionaries(st.sampled_from(["pool", "zone"]), st.sampled_from(["a", "b", "1"]))
    return [
        node(f"n{number}", boot_id=draw(st.sampled_from([None, "k1", "k2"])), **draw(labels))
        for number in range(draw(st.integers(0, 5)))
    ]


def kernels_of(made: Sequence[Node]) -> Mapping[str, str]:
    return {one.name: one.boot_id for one in made if one.boot_id}


@given(policies(), nodes())
def test_agents_of_one_kernel_never_enforce_the_same_sysctl_and_agree_on_enforced_values(
    rules: list[Policy],
    made: list[Node],
) -> None:
    kernels = kernels_of(made)
    found = resolve(policies=rules, nodes=made, boot_ids=kernels)
    enforcing = {rule.name for rule in rules if rule.spec and rule.spec.mode == "Enforce"}
    for one, other in itertools.combinations(kernels, 2):
        if kernels[one] == kernels[other]:
            mine, theirs = (
                {entry.name: entry for entry in found.desired[name] if entry.policy in enforcing}
                for name in (one, other)
            )
            for key in mine.keys() & theirs.keys():
                assert mine[key].value == theirs[key].value
                assert (mine[key].mode, theirs[key].mode) != ("Enforce", "Enforce")


@given(policies(), nodes())
def test_sysctl_is_set_exactly_where_an_active_policy_selects_the_node(
    rules: list[Policy],
    made: list[Node],
) -> None:
    found = resolve(policies=rules, nodes=made, boot_ids=kernels_of(made))
    for one in made:
        wanted = {
            key
            for rule in rules
            if rule.spec and not rule.spec.suspend and selects(rule.spec.node_selector, one.labels)
            for key in rule.spec.sysctls
        }
        assert {entry.name for entry in found.desired[one.name]} == wanted
        for entry in found.desired[one.name]:
            winner = next(rule for rule in rules if rule.name == entry.policy)
            assert winner.spec is not None
            assert winner.spec.sysctls[entry.name] == entry.value


@given(policies(), nodes())
def test_winner_has_the_highest_precedence_of_its_mode(
    rules: list[Policy],
    made: list[Node],
) -> None:
    found = resolve(policies=rules, nodes=made, boot_ids={})
    for one in made:
        for entry in found.desired[one.name]:
            rivals = [
                rule
                for rule in rules
                if rule.spec
                and not rule.spec.suspend
                and rule.spec.mode == entry.mode
                and entry.name in rule.spec.sysctls
                and selects(rule.spec.node_selector, one.labels)
            ]
            assert min(rivals, key=precedence).name == entry.policy


@given(policies(), nodes(), st.randoms())
def test_result_does_not_depend_on_the_order_of_objects(
    rules: list[Policy],
    made: list[Node],
    random: "st.random.Random",  # type: ignore[name-defined]
) -> None:
    first = resolve(policies=rules, nodes=made, boot_ids=kernels_of(made))
    random.shuffle(rules)
    random.shuffle(made)
    assert resolve(policies=rules, nodes=made, boot_ids=kernels_of(made)) == first


@given(policies(), nodes())
def test_every_sysctl_is_either_in_effect_or_counted_as_overridden(
    rules: list[Policy],
    made: list[Node],
) -> None:
    found = resolve(policies=rules, nodes=made, boot_ids=kernels_of(made))
    for rule in rules:
        if rule.spec is None or rule.spec.suspend:
            assert rule.name not in found.overrides
            continue
        for key in rule.spec.sysctls:
            holding = sum(
                1
                for name in found.matched[rule.name]
                if any(entry.name == key and entry.policy == rule.name for entry in found.desired[name])
            )
            losing = sum(
                count.nodes
                for override, count in found.overrides.get(rule.name, {}).items()
                if override.sysctl == key
            )
            assert losing >= len(found.matched[rule.name]) - holding
