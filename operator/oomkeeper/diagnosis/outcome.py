"""Decide the outcome of an event: killed, killed as a group, panicked, or no victim."""

from ..model.cause import Outcome
from ..model.kill import Kill


def outcome_of(kill: Kill) -> tuple[Outcome, str | None]:
    """Return the outcome, and what is uncertain about it."""
    if kill.panic is not None:
        return Outcome.PANICKED, None
    if kill.oom_group is not None:
        # Printed after the first process of the group was killed (oom_kill_process()).
        return Outcome.KILLED_GROUP, None
    if kill.kill_lines:
        return Outcome.KILLED, None
    if kill.victims and kill.reaped and not kill.header_seen and kill.chosen_pid is None:
        return (
            Outcome.KILLED,
            "The log has only the oom_reaper's line about this kill; its report is missing.",
        )
    if kill.victims:
        return (
            Outcome.KILLED,
            "The log ends before the kill line; the victim shown is the process that the kernel chose.",
        )
    if kill.already_exiting:
        return Outcome.NO_VICTIM, None
    if kill.no_killable:
        return Outcome.NO_VICTIM, None
    if kill.no_choice:
        return (
            Outcome.NO_VICTIM,
            "The call trace shows that no process was chosen: with vm.panic_on_oom the kernel panics next, "
            "otherwise no process was killable.",
        )
    return Outcome.NO_VICTIM, "The log ends before it shows whether a process was killed."
