"""What a 6.18 kernel with cgroup v1 really printed, read back. The kills were made in cgroups of known
limits."""

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.cause import BindingCounter, Cause, ContributorName, Level, Outcome, Remedy, Scope
from oomkeeper.model.kill import Kill

from .material import fixture, kills, only

MIB = 1 << 20


def test_process_at_own_limit() -> None:
    kill = only(fixture("6.18-v1-own.log"))
    verdict = diagnose(kill)
    assert (kill.scope, kill.complete, kill.kill_lines) == (Scope.MEMCG, True, 1)
    assert kill.oom_memcg is not None
    assert kill.oom_memcg.endswith("/own")
    assert kill.task_memcg == kill.oom_memcg
    assert [(victim.comm, victim.oom_score_adj) for victim in kill.victims] == [("memhog", 0)]
    assert (verdict.cause, verdict.level) == (Cause.CGROUP_LIMIT, Level.OWN)
    assert (verdict.limit_bytes, verdict.usage_bytes) == (40 * MIB, 40 * MIB)
    assert verdict.binding_counter is BindingCounter.MEMORY
    assert verdict.contributors[0].name is ContributorName.ANONYMOUS
    assert verdict.contributors[0].share > 0.95
    assert kill.kill_seqs == (2128,)
    assert "40 MiB" in verdict.summary


def test_parent_limit_reached_by_two_children() -> None:
    kill = only(fixture("6.18-v1-parent.log"))
    verdict = diagnose(kill)
    assert (verdict.cause, verdict.level) == (Cause.ANCESTOR_CGROUP_LIMIT, Level.ANCESTOR)
    assert kill.task_memcg == f"{kill.oom_memcg}/a"
    assert verdict.limit_bytes == 60 * MIB
    assert len(kill.tasks) == 2


def test_oom_score_adj_decides_which_equal_process_is_killed() -> None:
    kill = only(fixture("6.18-v1-adj.log"))
    assert [victim.comm for victim in kill.victims] == ["test1"]
    assert {task.comm: task.oom_score_adj for task in kill.tasks} == {"test": 0, "test1": 1000, "test2": 0}


def test_tmpfs_files_are_named_as_contributor() -> None:
    verdict = diagnose(only(fixture("6.18-v1-tmpfs.log")))
    assert verdict.contributors[0].name is ContributorName.SHARED_MEMORY
    assert "tmpfs" in verdict.summary
    assert Remedy.MOVE_TMPFS in {advice.remedy for advice in verdict.advice}


@pytest.mark.parametrize(
    ("name", "cause", "level", "limit_mib"),
    [("pod", Cause.POD_LIMIT, Level.POD, 40), ("container", Cause.CONTAINER_LIMIT, Level.CONTAINER, 30)],
)
def test_kubepods_levels_inside_nested_node(name: str, cause: Cause, level: Level, limit_mib: int) -> None:
    verdict = diagnose(only(fixture(f"6.18-v1-{name}.log")))
    assert (verdict.cause, verdict.level, verdict.limit_bytes) == (cause, level, limit_mib * MIB)


def test_storm_has_one_event_per_kill_line() -> None:
    found = kills(fixture("6.18-v1-storm.log"))
    assert len(found) == 16
    assert sum(kill.kill_lines for kill in found) == 16
    assert sum(kill.header_seen for kill in found) == 10
    assert {victim.comm for kill in found for victim in kill.victims} == {f"storm{n}" for n in range(16)}
    bare = [kill for kill in found if not kill.header_seen]
    assert all(diagnose(kill).cause is Cause.UNKNOWN_CGROUP_LIMIT for kill in bare)
    assert all(diagnose(kill).uncertain for kill in bare)


FORGED = [
    "x,pid=1,uid=0",
    "a) total-vm:0kB",
    ",task=,pid=1",
    "\nMem-Info:",
    "] Killed proces",
    " invoked oom: g",
]


def test_names_that_mimic_kernel_text_change_nothing() -> None:
    found = kills(fixture("6.18-v1-forged.log"))
    assert [kill.victims[0].comm for kill in found] == FORGED
    assert [kill.chosen_comm for kill in found] == FORGED
    assert [kill.tasks[0].comm for kill in found] == FORGED
    assert [kill.invoker.comm for kill in found if kill.invoker] == FORGED
    for kill in found:
        verdict = diagnose(kill)
        assert kill.victims[0].pid == kill.chosen_pid == kill.tasks[0].pid
        assert kill.victims[0].total_vm_bytes == 23036 * 1024
        assert (verdict.cause, verdict.outcome) == (Cause.CGROUP_LIMIT, Outcome.KILLED)
        assert "\n" not in verdict.summary


def test_text_written_by_process_is_no_evidence() -> None:
    records = fixture("6.18-v1-userspace.log")
    assert any(b"Killed process 1 (init)" in record.text for record in records)
    assert kills(records) == []


def test_report_cut_anywhere_names_no_other_victim() -> None:
    records = fixture("6.18-v1-own.log")
    whole = only(records)
    for cut in range(len(records)):
        for part in (records[:cut], records[cut:]):
            for kill in kills(part):
                pids = {victim.pid for victim in kill.victims}
                assert pids <= {whole.victims[0].pid}
                diagnose(kill)


def _pages(kill: Kill) -> int:
    return kill.tasks[0].total_vm_pages * kill.memory.page_size_bytes


def test_task_table_and_kill_line_agree_on_size() -> None:
    kill = only(fixture("6.18-v1-own.log"))
    assert _pages(kill) == kill.victims[0].total_vm_bytes
