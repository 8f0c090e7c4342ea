"""Outcome, names, words and advice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.cause import Cause, Confidence, ContributorName, Level, Outcome, Remedy, Scope
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill, Victim
from oomkeeper.model.memory import Counter, MemoryFacts
from oomkeeper.model.units import round_up

from .material import (
    CID,
    CONTAINER_PATH,
    MIB,
    POD_PATH,
    VICTIM,
    container,
    counter,
    global_kill,
    invoker,
    memcg_kill,
    pod,
    task,
    zone,
)


def remedies(verdict: Diagnosis) -> dict[Remedy, str]:
    return {advice.remedy: advice.message for advice in verdict.advice}


def victim(comm: str, mib: int, adj: int = 0) -> Victim:
    return VICTIM._replace(comm=comm, anon_rss_bytes=mib * MIB, oom_score_adj=adj)


# Pods


def test_limit_of_a_pod_with_one_container_is_the_containers() -> None:
    verdict = diagnose(memcg_kill(POD_PATH, CONTAINER_PATH), pod=pod(container()))
    assert (verdict.cause, verdict.level) == (Cause.CONTAINER_LIMIT, Level.POD)
    assert verdict.summary.startswith("Container app of pod shop/web-1 reached its memory limit of 80 MiB")
    assert "memhog (pid 42" in verdict.summary
    assert "container app" in remedies(verdict)[Remedy.FIT_LIMIT]


def test_memory_outside_the_only_container_keeps_the_pod_as_the_cause() -> None:
    facts = MemoryFacts(
        memory=counter(80, 80),
        stats_bytes={"cache": 0, "rss": 0},
        child_stats_bytes={CONTAINER_PATH: {"rss": 9 * MIB, "cache": 0}},
    )
    verdict = diagnose(memcg_kill(POD_PATH, CONTAINER_PATH, memory=facts), pod=pod(container()))
    assert (verdict.cause, verdict.level) == (Cause.POD_LIMIT, Level.POD)
    assert verdict.summary.startswith("Pod shop/web-1 reached its memory limit of 80 MiB")


def test_limit_of_the_pod_itself_is_not_the_containers() -> None:
    verdict = diagnose(memcg_kill(POD_PATH, CONTAINER_PATH), pod=pod(container(), limit_bytes=80 * MIB))
    assert verdict.cause is Cause.POD_LIMIT
    assert verdict.summary.startswith(
        "Pod shop/web-1 reached its memory limit of 80 MiB, set on the pod itself"
    )


def test_pod_limit_that_differs_from_the_containers_is_the_pods() -> None:
    verdict = diagnose(memcg_kill(POD_PATH, CONTAINER_PATH), pod=pod(container(limit_mib=64)))
    assert verdict.cause is Cause.POD_LIMIT
    assert verdict.summary.startswith("Pod shop/web-1")


def test_summary_names_the_container_that_used_most() -> None:
    other = "ef" * 32
    facts = MemoryFacts(
        memory=counter(80, 80),
        stats_bytes={"cache": 0, "rss": 0},
        child_stats_bytes={
            CONTAINER_PATH: {"rss": 9 * MIB, "cache": 0},
            f"{POD_PATH}/{other}": {"rss": 60 * MIB, "cache": 8 * MIB},
        },
    )
    containers = (container(limit_mib=40), container("hungry", limit_mib=40, cid=other))
    verdict = diagnose(memcg_kill(POD_PATH, CONTAINER_PATH, memory=facts), pod=pod(*containers))
    assert "the sum of its 2 containers' limits" in verdict.summary
    assert "(68 MiB) used by container hungry" in verdict.summary
    assert "killed memhog (pid 42, 81 MiB resident) in its container app" in verdict.summary


def test_memory_charged_to_no_container_gets_volume_advice() -> None:
    facts = MemoryFacts(
        memory=counter(80, 80),
        stats_bytes={"cache": 0, "rss": 0},
        child_stats_bytes={CONTAINER_PATH: {"rss": 9 * MIB, "cache": 0}},
    )
    assert (
        "71 MiB" in remedies(diagnose(memcg_kill(POD_PATH, CONTAINER_PATH, memory=facts)))[Remedy.MOVE_TMPFS]
    )


def test_sandbox_is_not_blamed() -> None:
    kill = memcg_kill(POD_PATH, f"{POD_PATH}/{'12' * 32}", victims=(victim("pause", 0, -998),))
    assert "sandbox" in diagnose(kill, pod=pod(container())).summary


def test_container_is_found_by_its_id() -> None:
    verdict = diagnose(
        memcg_kill(CONTAINER_PATH, CONTAINER_PATH), pod=pod(container("a", cid="0" * 64), container("b"))
    )
    assert verdict.summary.startswith("Container b of pod shop/web-1 reached its memory limit of 80 MiB")


def test_unknown_container_is_named_by_its_id() -> None:
    summary = diagnose(memcg_kill(CONTAINER_PATH, CONTAINER_PATH)).summary
    assert summary.startswith(f"Container {CID[:12]} of pod ")


# Outcomes


def test_whole_group_killed() -> None:
    kill = memcg_kill("/a", "/a", victims=(VICTIM, VICTIM._replace(pid=43)), oom_group="/a")
    verdict = diagnose(kill)
    assert verdict.outcome is Outcome.KILLED_GROUP
    assert "all 2 processes of the group" in verdict.summary


def test_panic_keeps_the_cause_of_the_shortage() -> None:
    panic = "Out of memory: compulsory panic_on_oom is enabled"
    verdict = diagnose(memcg_kill("/a", "/a", victims=())._replace(panic=panic))
    assert (verdict.outcome, verdict.cause) == (Outcome.PANICKED, Cause.CGROUP_LIMIT)
    assert panic in verdict.summary


def test_no_killable_process() -> None:
    verdict = diagnose(Kill(scope=Scope.GLOBAL, no_killable=True, panic="System is deadlocked on memory"))
    assert (verdict.cause, verdict.outcome) == (Cause.NO_KILLABLE_PROCESS, Outcome.PANICKED)
    within = diagnose(memcg_kill("/a", None, victims=())._replace(no_killable=True))
    assert (within.cause, within.outcome, within.limit_bytes) == (
        Cause.NO_KILLABLE_PROCESS,
        Outcome.NO_VICTIM,
        80 * MIB,
    )


def test_victim_that_was_already_exiting_is_not_a_kill() -> None:
    verdict = diagnose(memcg_kill("/a", "/a", victims=())._replace(already_exiting=(42,)))
    assert verdict.outcome is Outcome.NO_VICTIM
    assert "exiting" in verdict.summary


def test_kill_requested_by_sysrq() -> None:
    kill = global_kill(zone("Normal", 900_000, 1000))._replace(invoker=invoker(order=-1))
    verdict = diagnose(kill)
    assert (verdict.cause, verdict.confidence) == (Cause.MANUAL_TRIGGER, Confidence.HIGH)
    assert list(remedies(verdict)) == [Remedy.CHECK_TRIGGER]


def test_unknown_constraint_is_an_external_policy() -> None:
    kill = memcg_kill("/a", "/a", memory=MemoryFacts(memory=counter(40, None)))._replace(
        constraint="CONSTRAINT_BPF_PSI_MEM",
    )
    verdict = diagnose(kill)
    assert (verdict.cause, verdict.limit_bytes, verdict.confidence) == (
        Cause.EXTERNAL_POLICY,
        None,
        Confidence.HIGH,
    )
    assert list(remedies(verdict)) == [Remedy.CHECK_TRIGGER]


def test_lost_records_are_reported_and_lower_the_confidence() -> None:
    verdict = diagnose(memcg_kill("/a", "/a")._replace(lost_before=9))
    assert verdict.confidence is Confidence.MEDIUM
    assert any("9 log records" in sentence for sentence in verdict.uncertain)


def test_kill_line_alone_hints_at_the_qos_class() -> None:
    verdict = diagnose(Kill(scope=Scope.MEMCG, victims=(victim("app", 80, 1000),), kill_lines=1))
    assert verdict.cause is Cause.UNKNOWN_CGROUP_LIMIT
    assert any("BestEffort" in sentence for sentence in verdict.uncertain)


def test_victims_part_of_the_usage_is_reported_without_a_cgroup_name() -> None:
    alone = diagnose(memcg_kill(None, None))
    shared = diagnose(memcg_kill(None, None, victims=(victim("main", 43),)))
    assert any("alone" in sentence for sentence in alone.uncertain)
    assert any("44 MiB of the 80 MiB" in sentence for sentence in shared.uncertain)


# Contributors and advice


def stats(**mib: int) -> MemoryFacts:
    return MemoryFacts(
        memory=counter(80, 80), stats_bytes={name: size_mib * MIB for name, size_mib in mib.items()}
    )


def test_shares_of_a_v2_statistics_block() -> None:
    facts = stats(
        anon=20,
        file=50,
        shmem=30,
        file_dirty=8,
        file_writeback=4,
        slab=5,
        pagetables=1,
        kernel_stack=1,
        sock=1,
    )
    parts = {
        part.name: part.bytes // MIB for part in diagnose(memcg_kill("/a", "/a", memory=facts)).contributors
    }
    assert parts == {
        ContributorName.SHARED_MEMORY: 30,
        ContributorName.ANONYMOUS: 20,
        ContributorName.DIRTY_PAGE_CACHE: 12,
        ContributorName.PAGE_CACHE: 8,
        ContributorName.KERNEL_SLAB: 5,
        ContributorName.PAGE_TABLES: 1,
        ContributorName.KERNEL_STACK: 1,
        ContributorName.SOCKETS: 1,
    }


def test_pages_in_the_swap_cache_are_anonymous_memory_too() -> None:
    facts = stats(anon=40, active_anon=50, inactive_anon=28)
    (part,) = diagnose(memcg_kill("/a", "/a", memory=facts)).contributors
    assert (part.name, part.bytes) == (ContributorName.ANONYMOUS, 78 * MIB)


def test_shared_memory_of_old_v1_kernels_follows_from_the_lru_lists() -> None:
    facts = stats(cache=50, rss=20, active_anon=40, inactive_anon=20)
    parts = {
        part.name: part.bytes // MIB for part in diagnose(memcg_kill("/a", "/a", memory=facts)).contributors
    }
    assert parts[ContributorName.SHARED_MEMORY] == 40
    assert parts[ContributorName.PAGE_CACHE] == 10


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        (stats(anon=50, file=28, shmem=28), Remedy.MOVE_TMPFS),
        (stats(anon=20, file=50, file_dirty=45), Remedy.SLOW_STORAGE),
        (stats(anon=40, slab=30), Remedy.FREE_KERNEL_MEMORY),
    ],
)
def test_advice_depends_on_the_memory_breakdown(facts: MemoryFacts, remedy: Remedy) -> None:
    assert remedy in remedies(diagnose(memcg_kill("/a", "/a", memory=facts)))
    plain = remedies(diagnose(memcg_kill("/a", "/a", memory=stats(anon=79))))
    assert remedy not in plain


def test_slow_storage_gets_no_larger_limit() -> None:
    facts = stats(anon=5, file=70, file_dirty=70)
    assert Remedy.FIT_LIMIT not in remedies(diagnose(memcg_kill("/a", "/a", memory=facts)))


def test_new_limit_includes_swapped_out_memory() -> None:
    plain = remedies(diagnose(memcg_kill("/a", "/a")))[Remedy.FIT_LIMIT]
    facts = MemoryFacts(memory=counter(80, 80), swap=counter(40, None))
    swapped = remedies(diagnose(memcg_kill("/a", "/a", memory=facts)))[Remedy.FIT_LIMIT]
    assert "from 80 MiB to about 96 MiB" in plain
    assert "from 80 MiB to about 144 MiB" in swapped
    assert "swapped-out memory (40 MiB)" in swapped


def test_swap_of_the_task_table_counts_without_swap_counters() -> None:
    table = (task(42, 70, swap_mib=40),)
    message = remedies(diagnose(memcg_kill("/a", "/a", tasks=table)))[Remedy.FIT_LIMIT]
    assert "from 80 MiB to about 144 MiB" in message
    assert "swapped-out memory (40 MiB)" in message


def test_summary_does_not_repeat_itself() -> None:
    facts = MemoryFacts(memory=Counter(80 * MIB - 4096, 80 * MIB))
    assert "usage" not in diagnose(memcg_kill("/a", "/a", memory=facts)).summary
    lower = MemoryFacts(memory=Counter(79 * MIB, 80 * MIB))
    assert "(usage 79 MiB)" in diagnose(memcg_kill("/a", "/a", memory=lower)).summary
    nothing = diagnose(Kill(header_seen=True, complete=False)).summary
    assert nothing == "The log does not show what ran out of memory or which process was killed."


def test_unknown_limit_gets_no_limit_advice() -> None:
    assert Remedy.FIT_LIMIT not in remedies(diagnose(memcg_kill("/a", "/a", memory=MemoryFacts())))


def test_process_with_most_of_the_memory_is_named() -> None:
    table = (task(42, 70), task(43, 5, comm="other"))
    assert (
        "memhog alone uses 70 MiB (88 % of the limit)"
        in (remedies(diagnose(memcg_kill("/a", "/a", tasks=table)))[Remedy.FIND_LEAK])
    )
    spread = tuple(task(pid, 8, comm=f"worker{pid}") for pid in range(10))
    assert Remedy.FIND_LEAK not in remedies(diagnose(memcg_kill("/a", "/a", tasks=spread)))


def test_small_process_of_the_same_name_is_not_counted() -> None:
    small = remedies(diagnose(memcg_kill("/a", "/a", tasks=(task(42, 70), task(43, 1)))))[Remedy.FIND_LEAK]
    equal = remedies(diagnose(memcg_kill("/a", "/a", tasks=(task(42, 40), task(43, 38)))))[Remedy.FIND_LEAK]
    assert small.startswith("memhog alone uses 70 MiB")
    assert equal.startswith("2 processes named memhog use 78 MiB")


def test_jvm_advice_has_a_heap_size() -> None:
    kill = memcg_kill(CONTAINER_PATH, CONTAINER_PATH, victims=(victim("java", 78),))
    assert "at or below 60 MiB" in remedies(diagnose(kill))[Remedy.LOWER_HEAP]
    assert Remedy.LOWER_HEAP not in remedies(diagnose(memcg_kill(CONTAINER_PATH, CONTAINER_PATH)))


def test_victim_of_its_oom_score_adj_is_reported() -> None:
    table = (task(42, 5, comm="test1", adj=1000), task(43, 70, comm="test2"))
    kill = memcg_kill("/a", "/a", victims=(victim("test1", 5, 1000),), tasks=table)
    assert "it used 5 MiB, test2 (pid 43) used 70 MiB" in remedies(diagnose(kill))[Remedy.LOWER_OOM_SCORE_ADJ]
    equal = memcg_kill("/a", "/a", victims=(victim("test1", 5, 1000),), tasks=(task(42, 69), task(43, 70)))
    assert Remedy.LOWER_OOM_SCORE_ADJ not in remedies(diagnose(equal))


def test_container_above_its_request_on_a_full_node_is_reported() -> None:
    kill = global_kill(zone("Normal", 1000, 2000))._replace(task_memcg=CONTAINER_PATH)
    assert (
        "used 80 MiB and requests 40 MiB"
        in remedies(diagnose(kill, pod=pod(container())))[Remedy.MATCH_REQUESTS]
    )
    modest = diagnose(kill, pod=pod(container(request_mib=100)))
    assert Remedy.MATCH_REQUESTS not in remedies(modest)


# Words


def test_hostile_name_cannot_break_the_summary() -> None:
    verdict = diagnose(memcg_kill("/a\nb", "/a\nb", victims=(victim("x\n\x1b[2J", 80),)))
    assert verdict.summary.isprintable()
    assert all(advice.message.isprintable() for advice in verdict.advice)


@given(st.integers(min_value=1, max_value=1 << 45))
@settings(deadline=None)
def test_rounded_size_is_never_smaller_and_not_much_larger(number: int) -> None:
    assert number <= round_up(number) <= number + max(MIB, number // 8)
