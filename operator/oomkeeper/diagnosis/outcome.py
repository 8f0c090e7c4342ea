"""What came of the event."""

from ..model.cause import Outcome
from ..model.kill import Kill


def outcome_of(kill: Kill) -> tuple[Outcome, str | None]:
    """The outcome, and what is uncertain about it."""
    if kill.panic is not None:
        return Outcome.PANICKED, None
    if kill.oom_group is not None and kill.victims:
        return Outcome.KILLED_GROUP, None
    if kill.kill_lines:
        return Outcome.KILLED, None
    if kill.victims:
        return (
            Outcome.KILLED,
            "The log ends before the kill line; the victim is the process that the kernel had chosen.",
        )
    if kill.already_exiting:
        return Outcome.NO_VICTIM, None
    if kill.no_killable:
        return Outcome.NO_VICTIM, None
    return Outcome.NO_VICTIM, "The log ends before it says whether a process was killed."
