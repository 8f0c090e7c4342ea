"""What an OOMNode asks for, and what is refused on this node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.agent.desired import parse_desired
from oomkeeper.agent.kubelet import KubeletFacts
from oomkeeper.agent.oomscoreadj.entry import entry_id
from oomkeeper.agent.sysctl_safety import refuse
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from oomkeeper.resources.oomnode import DesiredSysctl

KEYS = (
    "name", "value", "sysctls", "mode", "acknowledge", "spec", "metadata", "oomScoreAdjustments", "process",
    "onRelease", "persistence", "policy", "generation", "podSelector", "namespaceSelector", "systemdUnit",
    "containers", "matchLabels", "matchExpressions", "operator", "values", "key", "comm",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(sorted(SYSCTL_RULES)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(spec=JSON, entry=JSON, metadata=JSON)
def test_any_object_is_parsed_without_an_exception_to_allowed_sysctls_only(spec, entry, metadata) -> None:
    objects = (
        {"spec": spec, "metadata": metadata},
        {"spec": {"sysctls": [entry], "oomScoreAdjustments": [entry]}},
    )
    for obj in objects:
        for one in parse_desired(obj).sysctls:
            rule = SYSCTL_RULES[one.name]
            assert type(one.value) is int
            assert rule.minimum <= one.value <= rule.maximum


def test_good_entry_is_kept_beside_bad_ones() -> None:
    good = {
        "name": "vm.swappiness",
        "value": 10,
        "policy": "p",
        "mode": "Audit",
        "acknowledge": ["NodePanic"],
    }
    desired = parse_desired(
        {
            "metadata": {"generation": 3},
            "spec": {
                "sysctls": [{"name": "vm.swappiness", "value": True}, 7, good, good],
                "oomScoreAdjustments": [
                    {"name": "a", "process": "sshd", "value": 1},
                    {"name": "b", "policy": "p", "podSelector": {}, "value": 800, "onRelease": "Keep"},
                    1,
                    {"name": "c", "systemdUnit": "a.service", "value": 1001},
                    {"name": "d", "systemdUnit": "a.service", "process": {"comm": "x"}, "value": 1},
                    {"name": "e", "systemdUnit": "a.service", "containers": ["x"], "value": 1},
                    {"name": "f", "podSelector": {"matchExpressions": [{"key": "k"}]}, "value": 1},
                    {"name": "b", "policy": "p", "podSelector": {}, "value": 1},
                ],
            },
        }
    )
    [one] = desired.sysctls
    assert (one.name, one.value, one.mode, one.acknowledge) == (
        "vm.swappiness",
        10,
        "Audit",
        ("NodePanic",),
    )
    assert desired.generation == 3
    [rule] = desired.adjustments
    assert (entry_id(rule), rule.value, rule.mode, rule.on_release) == ("p/b", 800, "Enforce", "Keep")
    said = "\n".join(desired.problems)
    assert "spec.sysctls[0]: vm.swappiness is True; write a whole number from 0 to 200" in said
    assert "spec.sysctls[1]: is not an object" in said
    assert "spec.sysctls[3]: vm.swappiness is there twice" in said
    assert (
        "spec.oomScoreAdjustments[0]: DesiredAdjustment: Expected `object | null`, got `str` - at `$.process`"
        in said
    )
    assert "spec.oomScoreAdjustments[3]: value is 1001; write a whole number from -1000 to 1000" in said
    assert "spec.oomScoreAdjustments[4]: write exactly one of" in said
    assert "spec.oomScoreAdjustments[5]: namespaceSelector and containers restrict podSelector" in said
    assert "required field `operator` - at `$.podSelector.matchExpressions[0]`" in said
    assert "spec.oomScoreAdjustments[7]: p/b is there twice" in said


KUBELET = KubeletFacts(pid=1, start_time=1)
STRICT = KubeletFacts(pid=1, start_time=1, protect_kernel_defaults=True)
UNREADABLE = KubeletFacts(pid=1, start_time=1, problem="/etc/k.yaml: not a regular file")
ACCEPTED = ("KubeletConflict", "NodePanic")


@pytest.mark.parametrize(
    ("key", "value", "acknowledge", "kubelet", "kernel_panic", "reason"),
    [
        ("vm.swappiness", 5, (), STRICT, 0, None),
        ("vm.panic_on_oom", 0, (), STRICT, 0, None),
        ("vm.panic_on_oom", 1, ("NodePanic",), STRICT, 10, "ProtectKernelDefaults"),
        ("vm.panic_on_oom", 1, ("NodePanic",), KUBELET, 10, "AcknowledgeMissing"),
        ("vm.panic_on_oom", 1, ("KubeletConflict",), KUBELET, 10, "AcknowledgeMissing"),
        ("vm.panic_on_oom", 1, ("KubeletConflict", "NodePanic"), KUBELET, 10, None),
        ("vm.panic_on_oom", 1, ("KubeletConflict", "NodePanic"), KUBELET, 0, "KernelPanicHangs"),
        ("vm.panic_on_oom", 1, ("KubeletConflict", "NodePanic"), KUBELET, None, "KernelPanicHangs"),
        ("vm.panic_on_oom", 1, (), None, 10, "AcknowledgeMissing"),
        ("vm.panic_on_oom", 1, ("NodePanic",), None, 10, None),
        ("vm.panic_on_oom", 2, ("NodePanic",), None, 10, "AcknowledgeMissing"),
        ("vm.panic_on_oom", 2, ("ContainerLimitPanicsNode",), None, 10, None),
        ("vm.overcommit_memory", 2, (), None, 0, None),
        ("vm.overcommit_memory", 2, (), KUBELET, 0, "AcknowledgeMissing"),
        ("vm.overcommit_memory", 2, ("KubeletConflict",), KUBELET, 0, None),
        ("vm.overcommit_memory", 2, ("KubeletConflict",), STRICT, 0, "ProtectKernelDefaults"),
        ("kernel.panic", 10, (), STRICT, 0, None),
        ("kernel.panic", 30, (), STRICT, 0, "ProtectKernelDefaults"),
    ],
)
def test_value_that_would_harm_the_node_is_refused(
    key, value, acknowledge, kubelet, kernel_panic, reason
) -> None:
    wanted = DesiredSysctl(name=key, value=value, policy="p", acknowledge=acknowledge)
    refusal = refuse(wanted, kubelet=kubelet, kernel_panic_seconds=kernel_panic)
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(
    ("key", "value", "kubelet", "reason"),
    [
        ("vm.panic_on_oom", 1, None, "KubeletNotFound"),
        ("vm.overcommit_memory", 2, None, "KubeletNotFound"),
        ("kernel.panic", 30, None, "KubeletNotFound"),
        ("vm.panic_on_oom", 0, None, None),
        ("vm.overcommit_memory", 1, None, None),
        ("vm.swappiness", 5, None, None),
        ("vm.panic_on_oom", 1, UNREADABLE, "KubeletSettingsUnknown"),
        ("vm.panic_on_oom", 0, UNREADABLE, None),
        ("vm.panic_on_oom", 1, KUBELET, None),
    ],
)
def test_kubelets_own_keys_are_refused_on_a_node_whose_kubelet_is_not_understood(
    key: str, value: int, kubelet: KubeletFacts | None, reason: str | None
) -> None:
    wanted = DesiredSysctl(name=key, value=value, policy="p", acknowledge=ACCEPTED)
    refusal = refuse(wanted, kubelet=kubelet, kernel_panic_seconds=10, kubelet_expected=True)
    assert (refusal.reason if refusal else None) == reason
