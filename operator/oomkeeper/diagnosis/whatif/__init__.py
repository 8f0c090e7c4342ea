"""What the kernel would have done with other settings, from the task table of one report: pure functions,
`Kill` in, ranking and outcome out.

`formula` is oom_badness() of each kernel, `domain` the memory that scores are relative to, `ranking` the
order of processes, `outcome` the effect of the sysctls, `scenarios` the questions that every page answers."""

from .outcome import Outlook, Settings, simulate
from .ranking import Ranking, Scored, chosen_row, rank
from .scenarios import Scenario, scenarios

__all__ = [
    "Outlook",
    "Ranking",
    "Scenario",
    "Scored",
    "Settings",
    "chosen_row",
    "rank",
    "scenarios",
    "simulate",
]
