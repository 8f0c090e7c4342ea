"""What killed a container: from the facts to one verdict. Pure functions.

The order of the evidence: a reboot; the sender of the SIGKILL, which the kernel recorded; the kernel's OOM
kill; what kubelet reports; what OOM killers in user space wrote to the kernel's log. A sender is proof. Where
the sender is the container runtime, it acted for kubelet, whose reason then decides. Text of statuses, Events
and processes is a claim, and never outweighs a sender."""

from dataclasses import replace

from oomkeeper.model.killer import (
    SIGKILLED,
    STATUS_UNKNOWN,
    Certainty,
    EndFacts,
    KillClaim,
    Killer,
    KillSignal,
    OOMKillFact,
    SenderPlace,
    Trace,
    Verdict,
)

from .claimed_kill import by_claim, by_talos, claim_of, contradicted, killer_named
from .killer_sentences import (
    process_text,
    sender_text,
    unit_of,
    user_space_oom_killer,
)
from .kubelet_stop import KubeletStop, kubelet_stop

OOM_KILLED = "OOMKilled"
RUNTIME_UNKNOWN = "Unknown"
"""containerd's reason for a container that it found dead when it started (internal/cri/server/restart.go)."""
SIGNAL_SECONDS = 10.0
"""A signal so long before the end may still have ended the container: a process that waits for the disk dies
late."""
CHILD_SECONDS = 3.0
"""A first process that ends because its child was killed does so within this time."""
LATER_SECONDS = 2.0
"""finishedAt has whole seconds, and the clocks of kernel and node are compared."""
BOOT_SECONDS = 5.0
_NO_REASON = "for a reason that no status or Event shows"
RUNTIME_NAMES = ("runc", "crun", "youki", "containerd", "crio", "conmon", "dockerd", "cri-dockerd")
"""First parts of the names of container runtimes' processes."""


def ended_by_sigkill(*, exit_code: int | None, reason: str | None) -> bool:
    """Return whether a container's end is one that asks for its killer."""
    return exit_code == SIGKILLED or reason in (OOM_KILLED, STATUS_UNKNOWN) or _found_dead(exit_code, reason)


def _found_dead(exit_code: int | None, reason: str | None) -> bool:
    return exit_code == 255 and reason == RUNTIME_UNKNOWN


def is_runtime(comm: str | None) -> bool:
    """Return whether a process has the name of a container runtime."""
    return comm is not None and any(
        comm == name or comm.startswith((f"{name}-", f"{name}:")) for name in RUNTIME_NAMES
    )


def decide(facts: EndFacts) -> Verdict:
    """Return the verdict on one end of a container."""
    verdict = _lost_node(facts)
    if verdict is not None:
        return verdict
    signal = _decisive(facts)
    oom = _oom_kill(facts, signal)
    stop = kubelet_stop(facts)
    claim = claim_of(facts, signal)
    if oom is not None:
        verdict = _kernel_oom(facts, oom, signal)
    elif signal is not None:
        verdict = _sent(facts, signal, stop, claim)
    else:
        verdict = _unsent(facts, stop, claim)
    return _with_claim(verdict, claim)


def _with_claim(verdict: Verdict, claim: KillClaim | None) -> Verdict:
    """Return the verdict with the line that an OOM killer in user space wrote, or may have written."""
    if claim is None:
        return verdict
    if verdict.killer is killer_named(claim.program):
        return replace(verdict, claim=claim)
    return replace(verdict, uncertain=(*verdict.uncertain, contradicted(claim)))


# -- the node


def _lost_node(facts: EndFacts) -> Verdict | None:
    began = facts.boot_began_at
    if began is not None and facts.started_at is not None and facts.started_at < began - BOOT_SECONDS:
        ended = facts.finished_at
        if ended is None or ended >= began - BOOT_SECONDS or _is_unknown(facts):
            return Verdict(
                killer=Killer.NODE_LOST,
                certainty=Certainty.PROVED,
                summary=f"Container {facts.container} ended when the node was rebooted: it had started "
                "before the node's present boot.",
            )
    if facts.pod_reason == "NodeLost":
        return Verdict(
            killer=Killer.NODE_LOST,
            certainty=Certainty.CLAIMED,
            summary=f"Container {facts.container} ended when the node was lost, as the pod's status reports.",
            uncertain=_missing(facts),
        )
    return None


def _is_unknown(facts: EndFacts) -> bool:
    return facts.reason == STATUS_UNKNOWN or _found_dead(facts.exit_code, facts.reason)


# -- the signal


def _decisive(facts: EndFacts) -> KillSignal | None:
    """Return the SIGKILL that ended the container: the first one that its first process got. Where none is
    known to be that one's, the last one before the end that a runtime did not send to tidy up."""
    near = [one for one in facts.signals if _is_near(one.at, facts, SIGNAL_SECONDS)]
    first = next((one for one in near if one.main), None)
    if first is not None:
        return first
    others = [one for one in near if one.main is None or _is_near(one.at, facts, CHILD_SECONDS)]
    senders = [one for one in others if one.sender_place != SenderPlace.RUNTIME]
    if senders:
        return senders[-1]
    # A runtime kills what is left of a container whose first process has ended.
    return next((one for one in others if one.main is None), None)


def _is_near(at: float, facts: EndFacts, seconds: float) -> bool:
    end = facts.finished_at
    return end is None or -seconds <= at - end <= LATER_SECONDS


# -- the kernel's OOM killer


def _oom_kill(facts: EndFacts, signal: KillSignal | None) -> OOMKillFact | None:
    """Return the OOM kill that ended the container. One before the SIGKILL of another sender to the first
    process did not: the container had survived it."""
    near = [one for one in facts.oom_kills if _is_near(one.at, facts, SIGNAL_SECONDS)]
    if signal is not None and signal.sender_place != SenderPlace.OOM_KILLER:
        if signal.main:
            near = [one for one in near if one.pid == signal.pid and one.at <= signal.at]
        elif facts.reason != OOM_KILLED and signal.sender_place != SenderPlace.RUNTIME:
            near = [one for one in near if one.at >= signal.at]
    elif signal is not None:
        near = [one for one in near if one.pid == signal.pid] or near
    if near:
        return near[-1]
    if signal is not None and signal.sender_place == SenderPlace.OOM_KILLER:
        return OOMKillFact(at=signal.at, pid=signal.pid, comm=signal.comm)
    return None


def _kernel_oom(facts: EndFacts, oom: OOMKillFact, signal: KillSignal | None) -> Verdict:
    by_oom = signal if signal is not None and signal.sender_place == SenderPlace.OOM_KILLER else None
    child = by_oom is not None and by_oom.main is False
    victim = process_text(oom.comm, oom.pid) or "a process"
    whole = facts.reason == OOM_KILLED or (by_oom is not None and by_oom.main is True)
    what = f"The kernel's OOM killer killed {victim} in container {facts.container}"
    then = (
        ", and the container ended with it."
        if whole and not child
        else f"; the container then ended with exit code {facts.exit_code}."
    )
    uncertain = () if oom.incident is not None else ("No OOMIncident of this kill was found.",)
    return Verdict(
        killer=Killer.KERNEL_OOM,
        certainty=Certainty.PROVED if whole else Certainty.INFERRED,
        summary=what + then,
        signal=by_oom,
        oom_kill=oom,
        uncertain=uncertain,
    )


# -- another sender


def _sent(facts: EndFacts, signal: KillSignal, stop: KubeletStop | None, claim: KillClaim | None) -> Verdict:
    killer, certainty, how = _by_sender(signal, stop, claim)
    if certainty == Certainty.PROVED and not signal.main:
        certainty = Certainty.INFERRED
    uncertain = [*_earlier_oom(facts, signal)]
    if stop is not None and killer != stop.killer:
        uncertain.append(f"Statuses or Events report that it was killed {stop.why}; the sender was another.")
    if signal.main is None:
        uncertain.append(
            f"Whether {process_text(signal.comm, signal.pid)} was the container's first process is not known."
        )
    if facts.trace == Trace.PARTIAL and facts.trace_problem is not None:
        uncertain.append(facts.trace_problem)
    if killer == Killer.UNKNOWN or (killer == Killer.RUNTIME and facts.events is None):
        uncertain += [facts.events_problem] if facts.events_problem is not None else []
    return Verdict(
        killer=killer,
        certainty=certainty,
        summary=f"Container {facts.container} {how}{_hit(facts, signal)}.",
        signal=signal,
        event=stop.event if stop is not None and killer == stop.killer else None,
        uncertain=tuple(uncertain),
    )


def _by_sender(
    signal: KillSignal, stop: KubeletStop | None, claim: KillClaim | None
) -> tuple[Killer, Certainty, str]:
    """Return the killer, what it rests on, and what happened to the container."""
    by = f"was killed by {sender_text(signal)}"
    match signal.sender_place:
        case SenderPlace.RUNTIME if stop is not None:
            return stop.killer, Certainty.PROVED, f"was killed by the container runtime {stop.why}"
        case SenderPlace.RUNTIME:
            return Killer.RUNTIME, Certainty.PROVED, f"{by} {_NO_REASON}"
        case SenderPlace.CONTAINER:
            return Killer.CONTAINER, Certainty.PROVED, f"{by} in the container itself"
        case SenderPlace.SAME_POD | SenderPlace.OTHER_POD:
            return Killer.OTHER_CONTAINER, Certainty.PROVED, f"{by} {_in_pod(signal)}{_named(signal)}"
        case SenderPlace.HOST:
            return _by_host_process(signal, by, claim)
        case SenderPlace.KERNEL:
            how = "was killed by the kernel, not by its OOM killer: a CPU time limit (RLIMIT_CPU) does that"
            return Killer.UNKNOWN, Certainty.UNKNOWN, how
    return _by_name(signal, stop, claim, by)


def _in_pod(signal: KillSignal) -> str:
    if signal.sender_place == SenderPlace.SAME_POD:
        return f"in container {signal.sender_container or 'unknown'} of the same pod"
    pod = f"pod {signal.sender_pod or 'unknown'}"
    return f"in container {signal.sender_container} of {pod}" if signal.sender_container else f"in {pod}"


def _named(signal: KillSignal) -> str:
    """Return that a process in a pod has the name of an OOM killer in user space: the author of the pod chose
    it."""
    name = user_space_oom_killer(exe=signal.sender_exe, comm=signal.sender_comm)
    return f", which has the name of an OOM killer in user space ({name})" if name is not None else ""


def _by_name(
    signal: KillSignal, stop: KubeletStop | None, claim: KillClaim | None, by: str
) -> tuple[Killer, Certainty, str]:
    """Return the same for a sender that was gone and left only its name."""
    if is_runtime(signal.sender_comm):
        killer, why = (stop.killer, stop.why) if stop is not None else (Killer.RUNTIME, _NO_REASON)
        return killer, Certainty.CLAIMED, f"{by} {why}"
    name = user_space_oom_killer(comm=signal.sender_comm)
    if name is not None:
        return killer_named(name), Certainty.CLAIMED, by
    if claim is not None and signal.sender_comm is None:
        return by_claim(claim)
    return Killer.UNKNOWN, Certainty.UNKNOWN, by


def _by_host_process(signal: KillSignal, by: str, claim: KillClaim | None) -> tuple[Killer, Certainty, str]:
    unit = unit_of(signal.sender_cgroup)
    name = user_space_oom_killer(unit=unit, exe=signal.sender_exe)
    where = f" ({unit})" if unit is not None else ""
    if name == "systemd-oomd":
        return Killer.SYSTEMD_OOMD, Certainty.PROVED, f"{by}{where}, the OOM killer of systemd"
    if name is not None:
        return Killer.USER_SPACE_OOM, Certainty.PROVED, f"{by}{where}, an OOM killer in user space"
    if claim is not None and by_talos(signal, claim):
        how = f"{by} of the node{where}: it was {claim.program}, as a line in the kernel log claims"
        return killer_named(claim.program), Certainty.CLAIMED, how
    return Killer.HOST_PROCESS, Certainty.PROVED, f"{by} of the node{where}"


def _hit(facts: EndFacts, signal: KillSignal) -> str:
    """Return that the signal hit another process than the container's first, and what followed."""
    if signal.main is not False:
        return ""
    hit = process_text(signal.comm, signal.pid)
    return f": it hit {hit}, and the container's first process ended with exit code {facts.exit_code}"


def _earlier_oom(facts: EndFacts, signal: KillSignal) -> list[str]:
    if not any(_is_near(one.at, facts, SIGNAL_SECONDS) and one.at <= signal.at for one in facts.oom_kills):
        return ["kubelet reports OOMKilled."] if facts.reason == OOM_KILLED else []
    return ["Shortly before, the kernel's OOM killer killed a process in the container, which survived that."]


# -- no sender


def _unsent(facts: EndFacts, stop: KubeletStop | None, claim: KillClaim | None) -> Verdict:
    """Return the verdict where no SIGKILL to the container was recorded."""
    name = facts.container
    if facts.sandboxed and facts.reason == OOM_KILLED:
        killer, certainty = Killer.VM_RUNTIME, Certainty.CLAIMED
        how = f"ended OOMKilled inside the sandbox of runtime class {facts.runtime_class}, as kubelet reports"
    elif facts.reason == OOM_KILLED:
        killer, certainty = Killer.KERNEL_OOM, Certainty.CLAIMED
        how = "was killed by the kernel's OOM killer, as kubelet reports"
    elif stop is not None and stop.expired is not False:
        killer = stop.killer
        certainty = Certainty.INFERRED if stop.expired else Certainty.CLAIMED
        how = f"was killed {stop.why}"
    elif claim is not None and facts.trace != Trace.COMPLETE:
        killer, certainty, how = by_claim(claim)
    elif facts.sandboxed and facts.trace == Trace.COMPLETE:
        killer, certainty = Killer.VM_RUNTIME, Certainty.INFERRED
        how = (
            f"was killed inside the sandbox of runtime class {facts.runtime_class}: "
            "the node's kernel sent it no SIGKILL"
        )
    elif facts.trace == Trace.COMPLETE and facts.exit_code == SIGKILLED and not _is_unknown(facts):
        killer, certainty = Killer.CONTAINER, Certainty.INFERRED
        how = f"ended by itself with exit code {SIGKILLED}: the kernel recorded no SIGKILL to its processes"
    else:
        killer, certainty = Killer.UNKNOWN, Certainty.UNKNOWN
        how = _without_evidence(facts)
    uncertain = [*_missing(facts)]
    if stop is not None and killer != stop.killer:
        uncertain.append(f"Statuses or Events report that it was killed {stop.why}; it ended earlier.")
    return Verdict(
        killer=killer,
        certainty=certainty,
        summary=f"Container {name} {how}.",
        oom_kill=_reported(facts),
        event=stop.event if stop is not None and killer == stop.killer else None,
        uncertain=tuple(uncertain),
    )


def _reported(facts: EndFacts) -> OOMKillFact | None:
    """Return kubelet's report of an OOM kill as the incident counts it."""
    if facts.reported_incident is None:
        return None
    return OOMKillFact(at=facts.finished_at or 0.0, incident=facts.reported_incident)


def _without_evidence(facts: EndFacts) -> str:
    if _is_unknown(facts):
        return "was gone from the container runtime when kubelet looked for it; its end was not recorded"
    return f"ended with exit code {facts.exit_code}; who sent SIGKILL is not known"


def _missing(facts: EndFacts) -> tuple[str, ...]:
    """Return what is missing of the evidence."""
    missing = []
    if facts.trace != Trace.COMPLETE:
        missing.append(facts.trace_problem or "The sender of the signal is not known: nothing was traced.")
    if facts.events is None and facts.events_problem is not None:
        missing.append(facts.events_problem)
    return tuple(missing)
