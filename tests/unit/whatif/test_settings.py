"""panic_on_oom, oom_kill_allocating_task and other oom_score_adj values, by the kernel's order of checks."""

import pytest

from oomkeeper.diagnosis.whatif import Settings, scenarios, simulate
from oomkeeper.model.cause import Outcome
from oomkeeper.model.kill import Invoker, Kill

from .tables import cgroup, machine, row

SMALL, BIG = row(10, "asks", 10), row(11, "hog", 1000)
SYSRQ = Invoker(comm="kworker/0:1", pid=77, order=-1, gfp="0xcc0", oom_score_adj=0)


def _cpuset() -> Kill:
    from oomkeeper.model.memory import MemoryFacts, Zone

    zone = Zone(node=1, name="Normal", fields_bytes={"present": 1 << 30})
    memory = MemoryFacts(zones=(zone,), swap_total_bytes=0)
    return machine(SMALL, BIG, constraint="CONSTRAINT_CPUSET", mems_allowed="1", memory=memory)


@pytest.mark.parametrize(
    ("kill", "panic_on_oom", "outcome"),
    [
        (machine(SMALL, BIG), 1, Outcome.PANICKED),
        (machine(SMALL, BIG), 2, Outcome.PANICKED),
        (cgroup(SMALL, BIG, limit_pages=1010), 1, Outcome.KILLED),
        (cgroup(SMALL, BIG, limit_pages=1010), 2, Outcome.PANICKED),
        (_cpuset(), 1, Outcome.KILLED),
        (_cpuset(), 2, Outcome.PANICKED),
        (machine(SMALL, BIG, invoker=SYSRQ), 2, Outcome.KILLED),
        (machine(SMALL, BIG, invoker=SYSRQ, release="4.1.0"), 2, Outcome.PANICKED),
    ],
)
def test_panic_on_oom_1_ignores_limited_shortages_and_2_only_sysrq(
    kill: Kill, panic_on_oom: int, outcome: Outcome
) -> None:
    assert simulate(kill, Settings(panic_on_oom=panic_on_oom)).outcome is outcome


def test_allocating_task_is_killed_in_a_global_oom() -> None:
    outlook = simulate(machine(SMALL, BIG), Settings(kill_allocating_task=True))
    assert outlook.victim_name == "asks (10)"


def test_allocating_task_does_not_matter_at_a_cgroup_limit() -> None:
    outlook = simulate(cgroup(SMALL, BIG, limit_pages=1010), Settings(kill_allocating_task=True))
    assert outlook.victim_name == "hog (11)"


def test_exempt_allocating_task_leaves_the_choice_to_the_score() -> None:
    exempt = row(10, "asks", 10, adj=-1000)
    assert simulate(machine(exempt, BIG), Settings(kill_allocating_task=True)).victim_name == "hog (11)"
    sysrq = machine(SMALL, BIG, invoker=SYSRQ)
    assert simulate(sysrq, Settings(kill_allocating_task=True)).victim_name == "hog (11)"


def test_panic_takes_precedence_over_a_kill() -> None:
    outlook = simulate(machine(SMALL, BIG), Settings(kill_allocating_task=True, panic_on_oom=1))
    assert (outlook.outcome, outlook.victim) == (Outcome.PANICKED, None)


def test_adjustment_names_a_pid_or_every_task_of_a_comm() -> None:
    kill = machine(SMALL, BIG, row(12, "hog", 900), row(13, "other", 800))
    by_pid = simulate(kill, Settings(adjustments=(("11", -1000),)))
    by_comm = simulate(kill, Settings(adjustments=(("hog", -1000),)))
    assert (by_pid.victim_name, by_comm.victim_name) == ("hog (12)", "other (13)")
    assert simulate(kill, Settings(adjustments=(("absent", 1),))).unmatched == ("absent",)


def test_last_adjustment_of_a_task_applies() -> None:
    outlook = simulate(machine(SMALL, BIG), Settings(adjustments=(("hog", -1000), ("11", 0))))
    assert outlook.victim_name == "hog (11)"


def test_all_exempt_panics_the_machine_but_not_a_cgroup() -> None:
    exempt = Settings(adjustments=(("asks", -1000), ("hog", -1000)))
    assert simulate(machine(SMALL, BIG), exempt).outcome is Outcome.PANICKED
    assert simulate(cgroup(SMALL, BIG, limit_pages=1010), exempt).outcome is Outcome.NO_VICTIM
    assert simulate(machine(SMALL, BIG, invoker=SYSRQ), exempt).outcome is Outcome.NO_VICTIM


def test_no_task_table_gives_no_outcome_and_no_scenarios() -> None:
    kill = machine(invoker=None)
    assert simulate(kill, Settings()).outcome is None
    assert scenarios(kill) == ()


def test_external_policy_is_not_predicted() -> None:
    kill = cgroup(SMALL, BIG, limit_pages=1010, constraint="CONSTRAINT_BPF_PSI_MEM")
    assert simulate(kill, Settings(panic_on_oom=0)).outcome is None
