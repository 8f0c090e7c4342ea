"""What out_of_memory() (mm/oom_kill.c) would have done with given settings: panic, kill the allocating task,
or kill by score; in that order."""

from collections.abc import Mapping
from typing import NamedTuple

from ...model.cause import Outcome, Scope
from ...model.kill import Kill
from ...model.node import NodeFacts
from .formula import ADJ_MIN
from .ranking import Ranking, Scored, Table


class Settings(NamedTuple):
    """The settings to simulate. The defaults are the kernel's own."""

    adjustments: tuple[tuple[str, int], ...] = ()
    """(pid in digits or comm, oom_score_adj); the last one that names a task applies."""
    every: int | None = None
    """oom_score_adj of all tasks that `adjustments` does not name."""
    kill_allocating_task: bool = False
    """vm.oom_kill_allocating_task."""
    panic_on_oom: int = 0
    """vm.panic_on_oom: 0, 1 or 2."""


class Outlook(NamedTuple):
    """What would have happened."""

    outcome: Outcome | None
    """None where the log does not show enough."""
    victim: Scored | None
    """The process that would have been killed, where the table has it."""
    victim_name: str | None
    """`comm (pid)` of the process that would have been killed, in the table or not."""
    why: str
    """One sentence."""
    ranking: Ranking
    unmatched: tuple[str, ...]
    """Names of `Settings.adjustments` that no task of the table has."""


def simulate(kill: Kill, settings: Settings, *, node: NodeFacts | None = None) -> Outlook:
    """Return the outcome of `kill` under `settings`, as far as its report shows. Never raises."""
    return outlook_of(kill, settings, Table(kill, node))


def outlook_of(kill: Kill, settings: Settings, table: Table) -> Outlook:
    """Return the same for one of several questions about one event."""
    adj, unmatched = _adjusted(table, settings)
    ranking = Ranking(table, adj)
    outcome, victim, name, why = (
        _panic(kill, settings, table)
        or _allocating(kill, settings, table, ranking)
        or _by_score(kill, ranking)
    )
    return Outlook(
        outcome=outcome, victim=victim, victim_name=name, why=why, ranking=ranking, unmatched=unmatched
    )


_End = tuple[Outcome | None, Scored | None, str | None, str]


def _adjusted(table: Table, settings: Settings) -> tuple[Mapping[int, int], tuple[str, ...]]:
    adj = {} if settings.every is None else dict.fromkeys(range(len(table.rows)), settings.every)
    unmatched = []
    for target, value in settings.adjustments:
        places = table.places_named(target)
        if target.isdigit():
            places += table.places(int(target))
        if not places:
            unmatched.append(target)
        adj.update(dict.fromkeys(places, value))
    return adj, tuple(unmatched)


def _panic(kill: Kill, settings: Settings, table: Table) -> _End | None:
    """check_panic_on_oom()."""
    if not settings.panic_on_oom:
        return None
    if kill.by_sysrq and table.formula.release >= (4, 3):
        # 071a4befebb6; before it, the sysctl applied to sysrq-f like to any other OOM.
        return None
    if settings.panic_on_oom == 2:
        return (
            Outcome.PANICKED,
            None,
            None,
            "vm.panic_on_oom=2 panics on every OOM, even at a cgroup's limit or on only some NUMA nodes.",
        )
    if table.domain.constraint != "CONSTRAINT_NONE" or kill.scope is not Scope.GLOBAL:
        return None
    return Outcome.PANICKED, None, None, "vm.panic_on_oom=1 panics when the whole machine is out of memory."


def _allocating(kill: Kill, settings: Settings, table: Table, ranking: Ranking) -> _End | None:
    """vm.oom_kill_allocating_task: the allocating task is killed, if it is eligible."""
    if not settings.kill_allocating_task or kill.scope is not Scope.GLOBAL or kill.invoker is None:
        return None
    invoker = kill.invoker
    places = table.places(invoker.pid) if invoker.pid is not None else []
    if places:
        task = ranking.of(places[0])
        if not task.eligible:
            return None
        return Outcome.KILLED, task, _name(task), "It requested the memory."
    # The table has neither threads nor kernel threads; the kernel skips a task without memory of its own
    # (sysrq's kworker) too.
    if kill.by_sysrq or invoker.oom_score_adj == ADJ_MIN or _is_kernel_thread(invoker.comm):
        return None
    pid = "" if invoker.pid is None else f" ({invoker.pid})"
    return (
        Outcome.KILLED,
        None,
        f"{invoker.comm}{pid}",
        "It, or the process that it is a thread of, requested the memory, unless it is a kernel thread.",
    )


_KERNEL_THREADS = ("kworker/", "kswapd", "kthreadd", "khugepaged", "ksmd", "kcompactd", "rcu_")


def _is_kernel_thread(comm: str) -> bool:
    return comm.startswith(_KERNEL_THREADS)


def _by_score(kill: Kill, ranking: Ranking) -> _End:
    if ranking.empty:
        return (
            None,
            None,
            None,
            "The report has no task table (vm.oom_dump_tasks=0, or the log is incomplete).",
        )
    if not ranking.known:
        return None, None, None, _unknown(ranking)
    if ranking.chosen is not None:
        return Outcome.KILLED, ranking.chosen, _name(ranking.chosen), _because(ranking)
    if kill.scope is Scope.GLOBAL and not kill.by_sysrq:
        return Outcome.PANICKED, None, None, "No process can be killed, so the kernel panics."
    return Outcome.NO_VICTIM, None, None, "No process in the table can be killed."


def _unknown(ranking: Ranking) -> str:
    if ranking.domain.pages is not None:
        return "A policy outside the kernel chose the victim, not the kernel's score."
    return (
        "The processes differ in oom_score_adj, and the log does not show the memory that it is relative to."
    )


def _because(ranking: Ranking) -> str:
    if not ranking.rivals:
        return "It has the highest score."
    names = ", ".join(_name(task) for task in ranking.rivals[:3])
    more = f" and {len(ranking.rivals) - 3} more" if len(ranking.rivals) > 3 else ""
    points = ranking.chosen.points if ranking.chosen else None
    if all(task.points == points for task in ranking.rivals):
        return f"It has the highest score, equal to {names}{more}."
    return f"It has the highest score, unless evidence missing from this log points to {names}{more}."


def _name(task: Scored) -> str:
    return f"{task.row.comm} ({task.row.pid})"
