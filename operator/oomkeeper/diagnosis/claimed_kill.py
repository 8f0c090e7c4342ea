"""What lines of user space OOM killers in the kernel log add to the evidence. Pure functions.

Any process with access to /dev/kmsg can write one. So a line gives a sender that is proved its reason, and
decides alone only where the kernel recorded no sender."""

from oomkeeper.kernel.user_space_kills import SYSTEMD_OOMD, TALOS
from oomkeeper.model.killer import Certainty, EndFacts, KillClaim, Killer, KillSignal

BEFORE_SECONDS = 15.0
"""systemd-oomd writes its line after the kill; earlyoom and Talos before it."""
AFTER_SECONDS = 5.0
_INIT = 1


def killer_named(program: str) -> Killer:
    """Return which killer an OOM killer in user space counts as."""
    return Killer.SYSTEMD_OOMD if program == SYSTEMD_OOMD else Killer.USER_SPACE_OOM


def claim_of(facts: EndFacts, signal: KillSignal | None = None) -> KillClaim | None:
    """Return the newest line about the container that was written about when it was killed."""
    at = signal.at if signal is not None else facts.finished_at
    near = [one for one in facts.claims if at is None or -BEFORE_SECONDS <= one.at - at <= AFTER_SECONDS]
    return near[-1] if near else None


def by_claim(claim: KillClaim) -> tuple[Killer, Certainty, str]:
    """Return the killer, what it rests on and what happened, where nothing but the line tells."""
    return (
        killer_named(claim.program),
        Certainty.CLAIMED,
        f"was killed by {claim.program}, as a line in the kernel log claims",
    )


def by_talos(signal: KillSignal, claim: KillClaim | None) -> bool:
    """Return whether a process of the node was Talos' init, which has the OOM controller in it. It kills for
    other reasons too: that it was this one is what the line claims."""
    return claim is not None and claim.program == TALOS and signal.sender_pid == _INIT


def contradicted(claim: KillClaim) -> str:
    """Return the line as an uncertainty of a verdict that is another."""
    return (
        f"A line in the kernel log, which any process with access to /dev/kmsg can write, reports a kill by "
        f"{claim.program}; the other evidence does not show that."
    )
