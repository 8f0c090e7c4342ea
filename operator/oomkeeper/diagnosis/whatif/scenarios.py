"""The questions that every page on a kill answers, where its report has a task table."""

from typing import NamedTuple

from ...model.cause import Scope
from ...model.kill import Kill
from ...model.node import NodeFacts
from .outcome import Outlook, Settings, simulate
from .ranking import chosen_row


class Scenario(NamedTuple):
    """One setting and what it would have made of the event."""

    setting: str
    outlook: Outlook


def scenarios(kill: Kill, *, node: NodeFacts | None = None) -> tuple[Scenario, ...]:
    """The sysctls one by one, and the process that died exempted; nothing without a task table."""
    if not kill.tasks:
        return ()
    asked: list[tuple[str, Settings]] = []
    row = chosen_row(kill)
    if row is not None:
        asked.append((f"oom_score_adj=-1000 for {row.comm}", Settings(adjustments=((str(row.pid), -1000),))))
    adjusted = [task for task in kill.tasks if task.oom_score_adj]
    if any(task.oom_score_adj != adjusted[0].oom_score_adj for task in adjusted[1:]) or (
        adjusted and len(adjusted) < len(kill.tasks)
    ):
        level = Settings(adjustments=tuple((str(task.pid), 0) for task in adjusted))
        asked.append(("oom_score_adj=0 for every process", level))
    if kill.scope is Scope.GLOBAL:
        asked.append(("vm.oom_kill_allocating_task=1", Settings(kill_allocating_task=True)))
    asked.append(("vm.panic_on_oom=1", Settings(panic_on_oom=1)))
    asked.append(("vm.panic_on_oom=2", Settings(panic_on_oom=2)))
    return tuple(Scenario(setting, simulate(kill, settings, node=node)) for setting, settings in asked)
