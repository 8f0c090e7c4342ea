"""What killed a container: each killer, evidence that contradicts itself, and nothing known."""

from __future__ import annotations

from typing import Any

import pytest

from oomkeeper.diagnosis.killer import decide, ended_by_sigkill
from oomkeeper.model.killer import (
    Certainty,
    EndFacts,
    EventFact,
    Killer,
    KillSignal,
    OOMKillFact,
    SenderPlace,
    Trace,
    Verdict,
)

END = 1_000_000.0
"""finishedAt; what ended the container was half a second later."""
MAIN, CHILD, SENDER = 100, 101, 7


def facts(**fields: Any) -> EndFacts:
    defaults: dict[str, Any] = {
        "container": "app",
        "exit_code": 137,
        "reason": "Error",
        "finished_at": END,
        "started_at": END - 600,
        "trace": Trace.COMPLETE,
        "boot_began_at": END - 86_400,
    }
    return EndFacts(**{**defaults, **fields})


def sent(place: SenderPlace, *, at: float = END + 0.5, main: bool | None = True, **fields: Any) -> KillSignal:
    pid = CHILD if main is False else MAIN
    defaults: dict[str, Any] = {"sender_pid": SENDER, "sender_comm": "bash"}
    return KillSignal(at=at, pid=pid, comm="java", main=main, sender_place=place, **{**defaults, **fields})


def by_runtime(**fields: Any) -> KillSignal:
    return sent(SenderPlace.RUNTIME, sender_comm="runc", sender_cgroup="/system.slice/x.service", **fields)


def killing(
    message: str, *, reason: str = "Killing", container: str | None = "app", ago: float = 30.0
) -> Any:
    return EventFact(reason, message, container, END - ago, END - ago)


def short(verdict: Verdict) -> tuple[Killer, Certainty]:
    return verdict.killer, verdict.certainty


ABSENT = {"trace": Trace.ABSENT, "trace_problem": "No trace."}
LIVENESS = (killing("Container app failed liveness probe, will be restarted"),)
DELETED = {"deletion_at": END, "grace_seconds": 30}
LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "

KUBELET = {
    "eviction": (
        {"pod_reason": "Evicted", "pod_message": LOW},
        Killer.EVICTION,
        "kubelet evicted the pod: The node was low on resource: memory. Threshold quantity: 100Mi, "
        "available: 50Mi.",
    ),
    "eviction by its Event": (
        {"events": (killing('Usage of EmptyDir volume "v" exceeds the limit "1Mi". ', reason="Evicted"),)},
        Killer.EVICTION,
        'exceeds the limit "1Mi".',
    ),
    "liveness": ({"events": LIVENESS}, Killer.PROBE, "its liveness probe failed"),
    "startup": (
        {"events": (killing("Container app failed startup probe, will be restarted"),)},
        Killer.PROBE,
        "its startup probe failed",
    ),
    "liveness of a container that is not restarted": (
        {
            "events": (
                killing("Stopping container app"),
                killing("Liveness probe failed: HTTP probe failed", reason="Unhealthy", ago=31.0),
            )
        },
        Killer.PROBE,
        "its liveness probe failed",
    ),
    "deletion": (DELETED, Killer.GRACE_PERIOD, "grace period of 30 s after the pod was deleted."),
    "deleted by kubelet in the end": (
        {"deletion_at": END + 30, "grace_seconds": 0},
        Killer.GRACE_PERIOD,
        "within the termination grace period after the pod was deleted.",
    ),
    "drain": (
        {**DELETED, "disruption": "EvictionByEvictionAPI"},
        Killer.GRACE_PERIOD,
        "as by kubectl drain.",
    ),
    "koordlet": (
        {
            **DELETED,
            "disruption": "EvictionByEvictionAPI",
            "events": (
                killing(
                    "evict Pod:shop/web, reason: EvictPodByNodeMemoryUsage, message: need to release 1",
                    reason="evictPodSuccess",
                    container=None,
                ),
            ),
        },
        Killer.USER_SPACE_OOM,
        "after koordlet evicted the pod: EvictPodByNodeMemoryUsage, message: need to release 1.",
    ),
    "koordlet for another reason": (
        {
            **DELETED,
            "events": (
                killing(
                    "evict Pod:shop/memory-hog, reason: EvictPodByBECPUSatisfaction, message: CPU",
                    reason="evictPodSuccess",
                    container=None,
                ),
            ),
        },
        Killer.GRACE_PERIOD,
        "after the pod was deleted.",
    ),
    "taint": (
        {**DELETED, "disruption": "DeletionByTaintManager"},
        Killer.GRACE_PERIOD,
        "for a taint of the node.",
    ),
    "garbage collector": (
        {**DELETED, "disruption": "DeletionByPodGC"},
        Killer.GRACE_PERIOD,
        "pod garbage collector.",
    ),
    "deadline": ({"pod_reason": "DeadlineExceeded"}, Killer.GRACE_PERIOD, "activeDeadlineSeconds."),
    "shutdown": ({"disruption": "TerminationByKubelet"}, Killer.GRACE_PERIOD, "a shutdown of the node."),
    "postStart": (
        {"events": (killing("PostStartHook failed", reason="FailedPostStartHook"),)},
        Killer.GRACE_PERIOD,
        "failed postStart hook.",
    ),
    "changed": (
        {"events": (killing("Container app definition changed, will be restarted"),)},
        Killer.GRACE_PERIOD,
        "changed definition.",
    ),
    "stopping": (
        {"events": (killing("Stopping container app"),)},
        Killer.GRACE_PERIOD,
        "kubelet stopped it.",
    ),
    "preemption": (
        {**DELETED, "disruption": "PreemptionByScheduler", "disruption_message": "preempting to schedule."},
        Killer.PREEMPTION,
        "one of a higher priority: preempting to schedule.",
    ),
    "critical pod": (
        {"pod_reason": "Preempting", "pod_message": "Preempted in order to admit critical pod"},
        Killer.PREEMPTION,
        "admit critical pod.",
    ),
    "preemption by its Event": (
        {"events": (killing("Preempted by pod x", reason="Preempted", container=None),)},
        Killer.PREEMPTION,
        "Preempted by pod x.",
    ),
}


@pytest.mark.parametrize("case", KUBELET)
def test_runtime_sent_it_for_kubelets_reason(case: str) -> None:
    fields, killer, end = KUBELET[case]
    verdict = decide(facts(signals=(by_runtime(),), **fields))
    assert short(verdict) == (killer, Certainty.PROVED)
    assert verdict.summary.startswith("Container app was killed by the container runtime ")
    assert end in verdict.summary
    assert verdict.uncertain == ()


@pytest.mark.parametrize("case", KUBELET)
def test_without_a_trace_kubelets_reason_is_a_claim_unless_the_time_fits(case: str) -> None:
    fields, killer, end = KUBELET[case]
    verdict = decide(facts(**ABSENT, **fields))
    expected = Certainty.CLAIMED
    if killer in (Killer.GRACE_PERIOD, Killer.USER_SPACE_OOM) and fields.get("grace_seconds"):
        expected = Certainty.INFERRED
    assert short(verdict) == (killer, expected)
    assert end in verdict.summary
    assert verdict.uncertain == ("No trace.",)


def test_runtime_without_any_reason_is_the_runtime() -> None:
    verdict = decide(facts(signals=(by_runtime(),), events=()))
    assert short(verdict) == (Killer.RUNTIME, Certainty.PROVED)
    assert "process runc (pid 7) for a reason that no status or Event shows" in verdict.summary
    asked = decide(facts(signals=(by_runtime(),), events_problem="Events: forbidden."))
    assert asked.uncertain == ("Events: forbidden.",)


SENDERS = {
    "itself": (
        sent(SenderPlace.CONTAINER),
        Killer.CONTAINER,
        "killed by process bash (pid 7) in the container itself.",
    ),
    "sibling": (
        sent(SenderPlace.SAME_POD, sender_container="side"),
        Killer.OTHER_CONTAINER,
        "in container side of the same pod.",
    ),
    "other pod": (
        sent(SenderPlace.OTHER_POD, sender_pod="ops/debug", sender_container="shell"),
        Killer.OTHER_CONTAINER,
        "in container shell of pod ops/debug.",
    ),
    "pod without a name": (sent(SenderPlace.OTHER_POD), Killer.OTHER_CONTAINER, "in pod unknown."),
    "host": (
        sent(SenderPlace.HOST, sender_cgroup="/system.slice/ssh.service"),
        Killer.HOST_PROCESS,
        "by process bash (pid 7) of the node (ssh.service).",
    ),
    "host without a unit": (
        sent(SenderPlace.HOST, sender_cgroup="/"),
        Killer.HOST_PROCESS,
        "(pid 7) of the node.",
    ),
    "systemd-oomd": (
        sent(
            SenderPlace.HOST, sender_comm="systemd-oomd", sender_cgroup="/system.slice/systemd-oomd.service"
        ),
        Killer.SYSTEMD_OOMD,
        "(systemd-oomd.service), the OOM killer of systemd.",
    ),
    "earlyoom": (
        sent(SenderPlace.HOST, sender_comm="earlyoom", sender_cgroup="/system.slice/earlyoom.service"),
        Killer.USER_SPACE_OOM,
        "an OOM killer in user space.",
    ),
    "earlyoom by hand": (
        sent(SenderPlace.HOST, sender_comm="x", sender_exe="/usr/local/bin/earlyoom", sender_cgroup="/"),
        Killer.USER_SPACE_OOM,
        "an OOM killer in user space.",
    ),
}


@pytest.mark.parametrize("case", SENDERS)
def test_sender_is_proof(case: str) -> None:
    signal, killer, end = SENDERS[case]
    verdict = decide(facts(signals=(signal,)))
    assert short(verdict) == (killer, Certainty.PROVED)
    assert verdict.summary.endswith(end)
    assert verdict.signal == signal
    assert verdict.uncertain == ()


def test_name_of_an_oom_killer_inside_a_container_is_no_evidence() -> None:
    signal = sent(SenderPlace.CONTAINER, sender_comm="systemd-oomd", sender_exe="/usr/bin/earlyoom")
    assert short(decide(facts(signals=(signal,)))) == (Killer.CONTAINER, Certainty.PROVED)


def test_sender_that_was_gone_is_a_claim_by_its_name() -> None:
    def gone(comm: str | None) -> KillSignal:
        return sent(SenderPlace.UNKNOWN, sender_comm=comm, sender_gone=True)

    assert short(decide(facts(signals=(gone("systemd-oomd"),)))) == (Killer.SYSTEMD_OOMD, Certainty.CLAIMED)
    assert short(decide(facts(signals=(gone("earlyoom"),)))) == (Killer.USER_SPACE_OOM, Certainty.CLAIMED)
    assert short(decide(facts(signals=(gone("runc"),)))) == (Killer.RUNTIME, Certainty.CLAIMED)
    probe = decide(facts(signals=(gone("runc:[1:CHILD]"),), events=LIVENESS))
    assert short(probe) == (Killer.PROBE, Certainty.CLAIMED)
    other = decide(facts(signals=(gone("bash"),), events=LIVENESS))
    assert short(other) == (Killer.UNKNOWN, Certainty.UNKNOWN)
    assert "process bash (pid 7), which was gone when it was looked at," in other.summary
    assert "liveness probe failed" in other.uncertain[0]
    nameless = decide(facts(signals=(gone(None),), events_problem="Events: forbidden."))
    assert "gone before its name could be read (pid 7)" in nameless.summary
    assert nameless.uncertain == ("Events: forbidden.",)


def test_kernel_itself_is_no_oom_kill() -> None:
    verdict = decide(facts(signals=(sent(SenderPlace.KERNEL),)))
    assert short(verdict) == (Killer.UNKNOWN, Certainty.UNKNOWN)
    assert "RLIMIT_CPU" in verdict.summary


# -- the kernel's OOM killer


def oom(*, ago: float = 0.0, pid: int = MAIN) -> OOMKillFact:
    return OOMKillFact(END + 0.4 - ago, "web-app-0123456789", pid, "java")


def test_oom_kill_of_the_first_process_is_proved_and_linked() -> None:
    by_oom = sent(SenderPlace.OOM_KILLER, at=END + 0.4)
    for signals in ((by_oom,), ()):
        verdict = decide(facts(reason="OOMKilled", oom_kills=(oom(),), signals=signals))
        assert short(verdict) == (Killer.KERNEL_OOM, Certainty.PROVED)
        assert verdict.oom_kill is not None
        assert verdict.oom_kill.incident == "web-app-0123456789"
        assert verdict.summary.endswith(
            "killed java (pid 100) in container app, and the container ended with it."
        )


def test_oom_kill_of_a_child_ends_a_container_by_its_exit_code() -> None:
    by_oom = sent(SenderPlace.OOM_KILLER, at=END + 0.3, main=False)
    verdict = decide(facts(oom_kills=(oom(pid=CHILD),), signals=(by_oom,)))
    assert short(verdict) == (Killer.KERNEL_OOM, Certainty.INFERRED)
    assert verdict.summary.endswith(
        "(pid 101) in container app; the container then ended with exit code 137."
    )


def test_oom_kill_that_only_the_trace_has_is_not_linked() -> None:
    verdict = decide(facts(signals=(sent(SenderPlace.OOM_KILLER),)))
    assert short(verdict) == (Killer.KERNEL_OOM, Certainty.PROVED)
    assert verdict.uncertain == ("No OOMIncident of this kill was found.",)


def test_victim_of_a_group_kill_is_the_first_process() -> None:
    by_oom = sent(SenderPlace.OOM_KILLER)
    verdict = decide(facts(oom_kills=(oom(), oom(pid=CHILD)), signals=(by_oom,), reason="OOMKilled"))
    assert verdict.oom_kill is not None
    assert verdict.oom_kill.pid == MAIN


def test_oomkilled_without_a_record_is_a_claim() -> None:
    verdict = decide(facts(reason="OOMKilled"))
    assert short(verdict) == (Killer.KERNEL_OOM, Certainty.CLAIMED)


def test_first_process_killed_after_a_child_was_oom_killed_was_not_oom_killed() -> None:
    """kubelet reports OOMKilled for any kill in the container's life."""
    child = sent(SenderPlace.OOM_KILLER, at=END - 5, main=False)
    verdict = decide(
        facts(
            reason="OOMKilled",
            oom_kills=(oom(ago=5, pid=CHILD),),
            signals=(child, sent(SenderPlace.HOST, sender_cgroup="/user.slice/session-1.scope")),
        )
    )
    assert short(verdict) == (Killer.HOST_PROCESS, Certainty.PROVED)
    assert "survived that" in verdict.uncertain[0]
    old = decide(facts(reason="OOMKilled", signals=(sent(SenderPlace.HOST),)))
    assert short(old) == (Killer.HOST_PROCESS, Certainty.PROVED)
    assert old.uncertain == ("kubelet reports OOMKilled.",)


def test_old_oom_kill_did_not_end_the_container() -> None:
    verdict = decide(facts(oom_kills=(oom(ago=60, pid=CHILD),), **ABSENT))
    assert short(verdict) == (Killer.UNKNOWN, Certainty.UNKNOWN)


def test_oom_kill_outweighs_the_runtimes_tidying_up() -> None:
    left_over = by_runtime(main=None)
    verdict = decide(facts(oom_kills=(oom(pid=MAIN),), signals=(left_over,)))
    assert verdict.killer is Killer.KERNEL_OOM


# -- signals to other processes than the first


def test_child_killed_just_before_the_end_is_inferred() -> None:
    verdict = decide(facts(signals=(sent(SenderPlace.CONTAINER, at=END, main=False),)))
    assert short(verdict) == (Killer.CONTAINER, Certainty.INFERRED)
    assert verdict.summary.endswith(
        "it hit java (pid 101), and the container's first process ended with exit code 137."
    )


def test_child_killed_earlier_explains_nothing() -> None:
    early = sent(SenderPlace.CONTAINER, at=END - 8, main=False)
    assert "ended by itself" in decide(facts(signals=(early,))).summary


def test_first_process_decides_over_children() -> None:
    signals = (sent(SenderPlace.CONTAINER, at=END - 1, main=False), sent(SenderPlace.HOST, at=END))
    assert decide(facts(signals=signals)).killer is Killer.HOST_PROCESS
    # What the runtime kills afterwards is what was left.
    signals = (sent(SenderPlace.HOST, at=END), by_runtime(at=END + 0.2, main=False))
    assert decide(facts(signals=signals)).killer is Killer.HOST_PROCESS
    assert decide(facts(signals=(by_runtime(main=False),))).summary.startswith(
        "Container app ended by itself"
    )


def test_unknown_first_process_lowers_the_certainty() -> None:
    signals = (sent(SenderPlace.HOST, main=None), by_runtime(at=END + 0.9, main=None))
    verdict = decide(facts(signals=signals, trace=Trace.PARTIAL, trace_problem="Records were lost."))
    assert short(verdict) == (Killer.HOST_PROCESS, Certainty.INFERRED)
    assert verdict.uncertain == (
        "Whether java (pid 100) was the container's first process is not known.",
        "Records were lost.",
    )
    assert decide(facts(signals=(by_runtime(main=None),), **DELETED)).killer is Killer.GRACE_PERIOD


def test_signals_of_an_earlier_run_are_not_this_one() -> None:
    verdict = decide(facts(signals=(sent(SenderPlace.HOST, at=END - 60),)))
    assert verdict.killer is Killer.CONTAINER
    assert "by itself with exit code 137" in verdict.summary


# -- contradictions


def test_sender_outweighs_statuses_and_events() -> None:
    verdict = decide(facts(signals=(sent(SenderPlace.CONTAINER),), events=LIVENESS))
    assert short(verdict) == (Killer.CONTAINER, Certainty.PROVED)
    assert "its liveness probe failed" in verdict.uncertain[0]
    assert verdict.event is None


def test_end_before_the_grace_period_expired_is_not_its_expiry() -> None:
    verdict = decide(facts(deletion_at=END + 20, grace_seconds=30, **ABSENT))
    assert short(verdict) == (Killer.UNKNOWN, Certainty.UNKNOWN)
    assert "it ended earlier" in verdict.uncertain[-1]


def test_what_happened_to_the_pod_after_the_end_is_no_reason() -> None:
    later = {"deletion_at": END + 40, "grace_seconds": 30}
    assert decide(facts(signals=(by_runtime(),), **later)).killer is Killer.RUNTIME
    assert decide(facts(signals=(by_runtime(),), events=LIVENESS, **later)).killer is Killer.PROBE
    evicted = {"pod_reason": "Evicted", "disruption": "TerminationByKubelet"}
    assert decide(facts(signals=(by_runtime(),), disruption_at=END + 10, **evicted)).killer is Killer.RUNTIME
    assert decide(facts(signals=(by_runtime(),), disruption_at=END - 1, **evicted)).killer is Killer.EVICTION


def test_probe_that_failed_after_the_deletion_is_not_the_reason() -> None:
    late = (killing("Container app failed liveness probe, will be restarted", ago=10),)
    verdict = decide(facts(signals=(by_runtime(),), events=late, **DELETED))
    assert verdict.killer is Killer.GRACE_PERIOD


def test_events_of_other_containers_and_runs_do_not_count() -> None:
    others = (
        killing("Container side failed liveness probe, will be restarted", container="side"),
        killing("Container app failed liveness probe, will be restarted", ago=700),
        EventFact("Killing", "Container app failed liveness probe", "app", END + 60, END + 60),
        killing("Liveness probe failed", reason="Unhealthy"),
    )
    assert decide(facts(signals=(by_runtime(),), events=others)).killer is Killer.RUNTIME


def test_probe_that_failed_long_before_or_of_another_kind_is_not_the_reason() -> None:
    for unhealthy in (
        killing("Liveness probe failed: x", reason="Unhealthy", ago=60.0),
        killing("Readiness probe failed: x", reason="Unhealthy"),
        killing("Liveness probe failed: x", reason="Unhealthy", container="side"),
    ):
        events = (killing("Stopping container app"), unhealthy)
        assert decide(facts(signals=(by_runtime(),), events=events)).killer is Killer.GRACE_PERIOD
    events = (killing("Stopping container app"), killing("Liveness probe failed: x", reason="Unhealthy"))
    for fields in (DELETED, {"pod_reason": "DeadlineExceeded"}):
        verdict = decide(facts(signals=(by_runtime(),), events=events, **fields))
        assert verdict.killer is Killer.GRACE_PERIOD


def test_repeated_event_counts_for_each_of_its_runs() -> None:
    again = EventFact("Killing", "Container app failed liveness probe", "app", END - 4000, END - 20)
    assert decide(facts(signals=(by_runtime(),), events=(again,))).killer is Killer.PROBE


# -- the node, and sandboxes


def test_container_from_before_the_boot_ended_with_the_node() -> None:
    for fields in (
        {"finished_at": END},
        {"finished_at": None, "reason": "ContainerStatusUnknown"},
        {"finished_at": END - 200, "reason": "ContainerStatusUnknown"},
    ):
        verdict = decide(facts(started_at=END - 600, boot_began_at=END - 60, **fields))
        assert short(verdict) == (Killer.NODE_LOST, Certainty.PROVED)
    ended_before = facts(started_at=END - 600, boot_began_at=END - 60, finished_at=END - 300, **ABSENT)
    assert decide(ended_before).killer is Killer.UNKNOWN


def test_lost_node_is_what_the_pods_status_claims() -> None:
    verdict = decide(facts(pod_reason="NodeLost", **ABSENT))
    assert (*short(verdict), verdict.uncertain) == (Killer.NODE_LOST, Certainty.CLAIMED, ("No trace.",))


def test_end_inside_a_sandbox_sends_no_signal_that_the_node_sees() -> None:
    kata = {"runtime_class": "kata-qemu", "sandboxed": True}
    assert short(decide(facts(**kata))) == (Killer.VM_RUNTIME, Certainty.INFERRED)
    assert short(decide(facts(**kata, reason="OOMKilled"))) == (Killer.VM_RUNTIME, Certainty.CLAIMED)
    assert short(decide(facts(**kata, **ABSENT))) == (Killer.UNKNOWN, Certainty.UNKNOWN)
    assert decide(facts(**kata, signals=(sent(SenderPlace.HOST),))).killer is Killer.HOST_PROCESS


# -- nothing known


def test_nothing_known_says_what_is_missing() -> None:
    verdict = decide(facts(**ABSENT, events_problem="Events: forbidden."))
    assert short(verdict) == (Killer.UNKNOWN, Certainty.UNKNOWN)
    assert verdict.summary == "Container app ended with exit code 137; who sent SIGKILL is not known."
    assert verdict.uncertain == ("No trace.", "Events: forbidden.")
    partial = decide(facts(trace=Trace.PARTIAL))
    assert partial.uncertain == ("The sender of the signal is not known: nothing was traced.",)


def test_container_that_the_runtime_no_longer_has_is_unknown() -> None:
    verdict = decide(facts(reason="ContainerStatusUnknown", finished_at=None))
    assert verdict.killer is Killer.UNKNOWN
    assert "its end was not recorded" in verdict.summary


@pytest.mark.parametrize(
    ("exit_code", "reason", "expected"),
    [
        (137, "Error", True),
        (137, None, True),
        (0, "OOMKilled", True),
        (1, "OOMKilled", True),
        (137, "ContainerStatusUnknown", True),
        (255, "Unknown", True),
        (255, "Error", False),
        (143, "Error", False),
        (1, "Error", False),
        (0, "Completed", False),
        (None, None, False),
    ],
)
def test_ends_that_ask_for_a_killer(exit_code: int | None, reason: str | None, expected: bool) -> None:
    assert ended_by_sigkill(exit_code=exit_code, reason=reason) is expected
