"""The questions that every page on a kill answers, where its report has a task table."""

from typing import NamedTuple

from ...model.cause import Scope
from ...model.kill import Kill
from ...model.node import NodeFacts
from ..page_fault import by_page_fault
from .outcome import Outlook, Settings, outlook_of
from .ranking import Table, chosen_row
from .table import is_complete


class Scenario(NamedTuple):
    """One setting and the outcome it would have had."""

    setting: str
    outlook: Outlook


def scenarios(kill: Kill, *, node: NodeFacts | None = None) -> tuple[Scenario, ...]:
    """Return the sysctls one by one, and the killed process exempted; nothing without a complete task table,
    or if the log does not show what ran out of memory."""
    if not is_complete(kill) or kill.scope is Scope.UNKNOWN or by_page_fault(kill):
        return ()
    asked: list[tuple[str, Settings]] = []
    row = chosen_row(kill)
    if row is not None:
        asked.append((f"oom_score_adj=-1000 for {row.comm}", Settings(adjustments=((str(row.pid), -1000),))))
    values = {task.oom_score_adj for task in kill.tasks}
    if len(values) > 1:
        asked.append(("oom_score_adj=0 for every process", Settings(every=0)))
    if kill.scope is Scope.GLOBAL:
        asked.append(("vm.oom_kill_allocating_task=1", Settings(kill_allocating_task=True)))
    asked.append(("vm.panic_on_oom=1", Settings(panic_on_oom=1)))
    asked.append(("vm.panic_on_oom=2", Settings(panic_on_oom=2)))
    table = Table(kill, node)
    return tuple(Scenario(setting, outlook_of(kill, settings, table)) for setting, settings in asked)
