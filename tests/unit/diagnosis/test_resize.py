"""A cgroup may have another limit than the pod's spec: kubelet applies an in-place resize part by part."""

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.cause import BindingCounter, Cause, Remedy
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill
from oomkeeper.model.memory import MemoryFacts
from oomkeeper.model.pod import ContainerFacts, LimitChange, PodFacts
from oomkeeper.model.pod_limits import MAX_BYTES, limit_changes, limits_at, pod_spec_limit, pod_status_limit

from .material import CID, CONTAINER_PATH, MIB, POD_PATH, VICTIM, counter, memcg_kill, pod, task

KILLED = "2026-01-01T10:00:00.000000Z"


def at(minute: int, second: int = 0) -> str:
    return f"2026-01-01T09:{minute:02d}:{second:02d}.000000Z"


def container(
    spec_mib: int | None, status_mib: int | None = None, *, name: str = "app", cid: str = CID
) -> ContainerFacts:
    """A container whose spec says one limit and whose status another."""
    spec = spec_mib * MIB if spec_mib else None
    status = status_mib * MIB if status_mib else None
    return ContainerFacts(
        name=name,
        container_ids=(cid,),
        limit_bytes=status or spec,
        spec_limit_bytes=spec,
        status_limit_bytes=status,
    )


def killed(
    facts: PodFacts, *, cgroup: str = CONTAINER_PATH, limit_mib: int = 64, memory: MemoryFacts | None = None
) -> Diagnosis:
    """The diagnosis of a kill in the container, at the limit of a cgroup."""
    kill: Kill = memcg_kill(
        cgroup, CONTAINER_PATH, memory=memory or MemoryFacts(memory=counter(limit_mib, limit_mib))
    )
    return diagnose(kill._replace(wall=KILLED), pod=facts)


def fit_limit(diagnosis: Diagnosis) -> str:
    [message] = [one.message for one in diagnosis.advice if one.remedy is Remedy.FIT_LIMIT]
    return message


def test_container_behind_its_spec_is_named_and_the_advice_is_not_below_the_spec() -> None:
    found = killed(pod(container(128, 64)))
    assert found.summary == (
        "Container app of pod shop/web-1 reached its memory limit of 64 MiB, although the spec says 128 MiB: "
        "the container's cgroup did not have it yet; the kernel killed memhog (pid 42, 81 MiB resident)."
    )
    assert fit_limit(found) == (
        "The spec says 128 MiB, but the container's cgroup had 64 MiB when the kernel killed. kubelet "
        "reports 64 MiB in force, so it has not applied the resize. Until the resize is applied, a higher "
        "limit in the spec changes nothing: the pod's conditions PodResizePending and PodResizeInProgress "
        "give the reason. A pod that its workload creates anew gets the limits of the pod template."
    )


def test_condition_of_the_resize_is_named() -> None:
    facts = pod(container(128, 64))._replace(resize="PodResizePending (Deferred)")
    assert "not applied the resize: condition PodResizePending (Deferred)." in fit_limit(killed(facts))


def test_resize_that_is_applied_by_now_is_not_said_to_be_pending() -> None:
    message = fit_limit(killed(pod(container(128, 128))))
    assert "kubelet reports 128 MiB in force, so it has applied the resize since." in message


@pytest.mark.parametrize("containers", [1, 2])
def test_pods_cgroup_behind_its_containers_is_the_one_that_lags(containers: int) -> None:
    side = container(64, 64, name="side", cid="cd" * 32)
    facts = pod(container(128, 128), *([side] if containers == 2 else []))
    found = killed(facts, cgroup=POD_PATH, limit_mib=64 * containers)
    assert found.cause is Cause.POD_LIMIT
    spec = 128 if containers == 1 else 192
    assert f"the spec says {spec} MiB: the pod's cgroup did not have it yet" in found.summary
    assert "the sum of its" not in found.summary
    message = fit_limit(found)
    assert f"kubelet reports {spec} MiB in force for the containers, so only the pod's cgroup" in message
    assert "raise" not in message


def test_limit_of_the_pod_itself_is_compared_with_its_own_status() -> None:
    facts = pod(container(None), limit_bytes=64 * MIB)._replace(
        spec_limit_bytes=128 * MIB, status_limit_bytes=64 * MIB
    )
    found = killed(facts, cgroup=POD_PATH)
    assert "set on the pod itself, although the spec says 128 MiB: the pod's cgroup" in found.summary
    assert "kubelet reports 64 MiB in force, so it has not applied the resize." in fit_limit(found)


def test_new_limit_that_is_too_low_as_well_is_said_to_be() -> None:
    message = fit_limit(killed(pod(container(70, 64))))
    assert message.endswith("about 80 MiB is the usage plus 20 %, rounded up.")


def test_cgroup_with_more_than_the_spec_is_named_and_the_spec_is_to_be_raised() -> None:
    found = killed(pod(container(64, 128)), limit_mib=128)
    assert "although the spec says 64 MiB: the container's cgroup still had the higher limit" in found.summary
    message = fit_limit(found)
    assert "raise the memory limit of container app from 64 MiB to about 160 MiB" in message
    assert "still had 128 MiB and the spec says less than was in use." in message


def test_heap_is_not_fitted_to_a_limit_that_the_spec_has_raised() -> None:
    java = VICTIM._replace(comm="java", anon_rss_bytes=60 * MIB)
    kill = memcg_kill(
        CONTAINER_PATH,
        CONTAINER_PATH,
        memory=MemoryFacts(memory=counter(64, 64)),
        victims=(java,),
        tasks=(task(42, 60, comm="java"),),
    )
    assert Remedy.LOWER_HEAP in {one.remedy for one in diagnose(kill, pod=pod(container(64, 64))).advice}
    assert Remedy.LOWER_HEAP not in {one.remedy for one in diagnose(kill, pod=pod(container(128, 64))).advice}


def test_equal_limits_and_those_that_differ_by_less_than_a_page_are_no_lag() -> None:
    odd = container(64, 64)._replace(spec_limit_bytes=64 * MIB + 4095)
    for facts in (pod(container(64, 64)), pod(odd), pod(container(None))):
        assert "although" not in killed(facts).summary


def test_memory_and_swap_together_are_not_compared_with_the_limit_of_memory() -> None:
    memory = MemoryFacts(memory=counter(60, 64), memory_swap=counter(128, 128))
    found = killed(pod(container(64, 64)), memory=memory)
    assert found.binding_counter is BindingCounter.MEMORY_SWAP
    assert "although" not in found.summary


def test_limit_that_was_lowered_shortly_before_the_kill_is_named() -> None:
    change = LimitChange(at(59, 20), "app", 128 * MIB, 64 * MIB)
    found = killed(pod(container(64, 64))._replace(limit_changes=(change,)))
    assert "of 64 MiB, shortly after the spec lowered it from 128 MiB; the kernel killed" in found.summary
    assert "The spec lowered the limit from 128 MiB to 64 MiB (seen at 2026-01-01T09:59:20" in fit_limit(
        found
    )


def test_lowered_container_is_named_where_the_pods_cgroup_reached_the_limit() -> None:
    change = LimitChange(at(59), "app", 128 * MIB, 64 * MIB)
    facts = pod(container(64, 64), container(64, 64, name="side"))._replace(limit_changes=(change,))
    found = killed(facts, cgroup=POD_PATH, limit_mib=128)
    assert "shortly after the spec lowered it from 192 MiB" in found.summary


@pytest.mark.parametrize(
    "change",
    [
        LimitChange(at(40), "app", 128 * MIB, 64 * MIB),  # 20 minutes before
        LimitChange(at(59), "app", 32 * MIB, 64 * MIB),  # raised
        LimitChange(at(59), "side", 128 * MIB, 64 * MIB),  # another container's
    ],
)
def test_other_changes_of_limits_are_not_named(change: LimitChange) -> None:
    facts = pod(container(64, 64))._replace(limit_changes=(change,))
    assert "shortly" not in killed(facts).summary


def test_limit_lowered_in_the_call_trace_is_named_in_the_advice() -> None:
    kill = memcg_kill(CONTAINER_PATH, CONTAINER_PATH, memory=MemoryFacts(memory=counter(64, 64)))
    found = diagnose(kill._replace(limit_lowered=True), pod=pod(container(64, 64)))
    assert "because the limit was being lowered below the usage" in found.summary
    assert "being lowered to this value when the kernel killed" in fit_limit(found)


def test_limit_of_a_pod_is_the_sum_that_kubelet_sets() -> None:
    init = container(300, name="init")._replace(kind="InitContainer")
    proxy = container(50, name="proxy")._replace(kind="InitContainer", sidecar=True)
    debug = container(None, name="debug")._replace(kind="EphemeralContainer")
    both = (container(100), container(60, name="side"))
    for containers, expected in (
        (both, 160),
        ((*both, init), 300),
        ((*both, proxy), 210),
        ((*both, proxy, init), 350),
        ((*both, init, proxy), 300),
        ((*both, debug), 160),
        ((*both, container(None, name="free")), None),
        ((), None),
    ):
        assert pod_spec_limit(pod(*containers)) == (expected * MIB if expected else None)
    assert pod_spec_limit(pod(*both)._replace(overhead_bytes=40 * MIB)) == 200 * MIB
    assert pod_spec_limit(pod(*both)._replace(spec_limit_bytes=90 * MIB)) == 90 * MIB


def test_limits_of_hostile_size_stay_within_the_api() -> None:
    huge = container(1)._replace(spec_limit_bytes=MAX_BYTES, status_limit_bytes=MAX_BYTES)
    facts = pod(huge, huge)
    assert (pod_spec_limit(facts), pod_status_limit(facts)) == (MAX_BYTES, MAX_BYTES)
    assert "TiB" in killed(pod(huge)).summary


def test_changes_between_two_versions_are_those_of_limits_that_both_have() -> None:
    before = pod(container(64), container(None, name="side"))._replace(spec_limit_bytes=256 * MIB)
    after = pod(container(128), container(32, name="side"))._replace(spec_limit_bytes=512 * MIB)
    assert limit_changes(before, after, at=KILLED) == (
        LimitChange(KILLED, None, 256 * MIB, 512 * MIB),
        LimitChange(KILLED, "app", 64 * MIB, 128 * MIB),
    )


def test_resize_after_the_kill_is_not_said_to_have_been_in_the_spec() -> None:
    later = LimitChange("2026-01-01T10:05:00.000000Z", "app", 64 * MIB, 128 * MIB)
    facts = limits_at(pod(container(128, 128))._replace(limit_changes=(later,)), KILLED)
    found = killed(facts)
    assert "although" not in found.summary
    assert "from 64 MiB to about 80 MiB" in fit_limit(found)
