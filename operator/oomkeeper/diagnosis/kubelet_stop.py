"""Why kubelet had a container stopped: from the pod's status, its deletion and its Events.

Sources, in k8s.io/kubernetes: pkg/kubelet/kuberuntime (messages of the Event Killing), pkg/kubelet/eviction
(reason Evicted), pkg/kubelet/preemption (reason Preempting), pkg/apis/core/types.go (reasons of the condition
DisruptionTarget)."""

import re
from dataclasses import replace
from typing import NamedTuple

from oomkeeper.model.killer import EVICTED_BY_API, KOORDLET_EVICTED, EndFacts, EventFact, Killer

_PROBE = re.compile(r"failed (liveness|startup) probe")
_UNHEALTHY = re.compile(r"(Liveness|Startup) probe (?:failed|errored)")
_PROBE_SECONDS = 10.0
"""A probe that failed so shortly before kubelet stopped the container is the reason."""
_CHANGED = re.compile(r"definition changed|resize requires restart")
_MEMORY = re.compile("memory", re.IGNORECASE)
_CLOCK_SECONDS = 2.0
"""Tolerance between times in whole seconds, of components of one node."""
EXPIRY_SECONDS = 2.0
"""By how much a container may end before deletionTimestamp and still count as killed at its expiry."""


class KubeletStop(NamedTuple):
    """kubelet's reason for stopping a container."""

    killer: Killer
    why: str
    """Completes the sentence `Container app was killed ...`."""
    event: EventFact | None = None
    expired: bool | None = None
    """For GracePeriod: whether the end is at or after the expiry; None where the expiry is not known."""


def kubelet_stop(facts: EndFacts) -> KubeletStop | None:
    """Return why kubelet stopped the container; None where nothing shows that it did. What happened to the
    pod after the container's end is no reason for it."""
    facts = _at_the_end(facts)
    return _eviction(facts) or _preemption(facts) or _probe(facts) or _koordlet(facts) or _grace_period(facts)


def _at_the_end(facts: EndFacts) -> EndFacts:
    """Return the facts without a deletion that was requested, or a disruption that began, after the end."""
    ended = facts.finished_at
    if ended is None:
        return facts
    if (
        facts.deletion_at is not None
        and facts.grace_seconds
        and _later(facts.deletion_at - facts.grace_seconds, ended)
    ):
        facts = replace(facts, deletion_at=None, grace_seconds=None)
    if facts.disruption_at is not None and _later(facts.disruption_at, ended):
        facts = replace(facts, disruption=None, pod_reason=None)
    return facts


def _later(time: float, ended: float) -> bool:
    return time > ended + _CLOCK_SECONDS


def _eviction(facts: EndFacts) -> KubeletStop | None:
    event = _event(facts, "Evicted", of_pod=True)
    if facts.pod_reason != "Evicted" and event is None:
        return None
    detail = facts.pod_message if facts.pod_reason == "Evicted" else None
    detail = _sentence(detail or (event.message if event is not None else None))
    why = "because kubelet evicted the pod" + (f": {detail}" if detail else "")
    return KubeletStop(Killer.EVICTION, why, event)


def _preemption(facts: EndFacts) -> KubeletStop | None:
    event = _event(facts, "Preempted", of_pod=True) or _event(facts, "Preempting", of_pod=True)
    if facts.disruption == "PreemptionByScheduler":
        detail = _sentence(facts.disruption_message)
    elif facts.pod_reason == "Preempting":
        detail = _sentence(facts.pod_message)
    elif event is not None:
        detail = _sentence(event.message)
    else:
        return None
    why = "because the pod was preempted for one of a higher priority" + (f": {detail}" if detail else "")
    return KubeletStop(Killer.PREEMPTION, why, event)


def _probe(facts: EndFacts) -> KubeletStop | None:
    for event in _events(facts, "Killing"):
        found = _PROBE.search(event.message)
        if found is None or event.container != facts.container or _after_deletion(event, facts):
            continue
        return _failed_probe(found[1], event)
    return _unhealthy(facts)


def _failed_probe(probe: str, event: EventFact) -> KubeletStop:
    why = f"because its {probe.lower()} probe failed and it did not end when kubelet stopped it"
    return KubeletStop(Killer.PROBE, why, event)


def _unhealthy(facts: EndFacts) -> KubeletStop | None:
    """Return a failed probe that the Event Killing does not name: where a pod's last container is not to be
    restarted, kubelet stops the pod (computePodActions(), KillPod), and its Event gives no reason."""
    if facts.deletion_at is not None or facts.pod_reason is not None or facts.disruption is not None:
        return None
    killing = next((one for one in _events(facts, "Killing") if one.container == facts.container), None)
    if killing is None or killing.last_at is None:
        return None
    for event in _events(facts, "Unhealthy"):
        found = _UNHEALTHY.match(event.message)
        if found is None or event.container != facts.container or event.last_at is None:
            continue
        if -_CLOCK_SECONDS <= killing.last_at - event.last_at <= _PROBE_SECONDS:
            return _failed_probe(found[1], event)
    return None


def _grace_period(facts: EndFacts) -> KubeletStop | None:
    event = next((one for one in _events(facts, "Killing") if one.container in (facts.container, None)), None)
    if facts.deletion_at is not None:
        expired = None
        if facts.finished_at is not None and facts.grace_seconds:
            expired = facts.finished_at >= facts.deletion_at - EXPIRY_SECONDS
        return KubeletStop(Killer.GRACE_PERIOD, _not_ended(facts, _deletion(facts)), event, expired)
    if facts.pod_reason == "DeadlineExceeded":
        why = "kubelet stopped the pod for its activeDeadlineSeconds"
    elif facts.pod_reason in ("Terminated", "NodeShutdown") or facts.disruption == "TerminationByKubelet":
        why = "kubelet stopped the pod for a shutdown of the node"
    elif _event(facts, "FailedPostStartHook") is not None:
        why = "kubelet stopped it for a failed postStart hook"
    elif event is not None and _CHANGED.search(event.message) is not None:
        why = "kubelet stopped it to restart it with a changed definition"
    elif event is not None:
        why = "kubelet stopped it"
    else:
        return None
    return KubeletStop(Killer.GRACE_PERIOD, _not_ended(facts, why), event)


def _koordlet(facts: EndFacts) -> KubeletStop | None:
    """Return an eviction through the API by koordlet for the node's memory (koordinator-sh/koordinator,
    pkg/koordlet/qosmanager/plugins/util/evictor.go). Where it stops containers through the runtime instead,
    it writes no Event."""
    event = _event(facts, KOORDLET_EVICTED, of_pod=True)
    stop = _grace_period(facts)
    if event is None or stop is None or facts.deletion_at is None:
        return None
    reason = event.message.partition(", reason: ")[2]  # before it is the pod's name
    if _MEMORY.search(reason) is None:
        return None
    why = (
        f"because it did not end within its grace period after koordlet evicted the pod: {_sentence(reason)}"
    )
    return KubeletStop(Killer.USER_SPACE_OOM, why, event, stop.expired)


def _deletion(facts: EndFacts) -> str:
    if facts.disruption == EVICTED_BY_API:
        return "the pod was evicted through the API, as by kubectl drain"
    if facts.disruption == "DeletionByTaintManager":
        return "the pod was deleted for a taint of the node"
    if facts.disruption == "DeletionByPodGC":
        return "the pod was deleted by the pod garbage collector"
    return "the pod was deleted"


def _not_ended(facts: EndFacts, why: str) -> str:
    # 0 s is the last deletion, by kubelet, of a pod whose containers have ended: the one before is not known.
    period = f"of {facts.grace_seconds} s " if facts.grace_seconds else ""
    return f"because it did not end within the termination grace period {period}after {why}"


def _after_deletion(event: EventFact, facts: EndFacts) -> bool:
    """Return whether the pod was being deleted already when the Event was first written."""
    if facts.deletion_at is None or event.last_at is None:
        return False
    return event.last_at > facts.deletion_at - (facts.grace_seconds or 0) + _CLOCK_SECONDS


def _event(facts: EndFacts, reason: str, *, of_pod: bool = False) -> EventFact | None:
    for event in _events(facts, reason):
        if of_pod or event.container in (facts.container, None):
            return event
    return None


def _events(facts: EndFacts, reason: str) -> list[EventFact]:
    """Return the Events of the container's run, newest first."""
    found = [event for event in facts.events or () if event.reason == reason and _in_run(event, facts)]
    return sorted(found, key=lambda event: event.last_at or 0.0, reverse=True)


def _in_run(event: EventFact, facts: EndFacts) -> bool:
    """Return whether the Event can be about this run: repeated ones are one object with two times."""
    last, started = event.last_at, facts.started_at
    if last is not None and started is not None and last < started - _CLOCK_SECONDS:
        return False
    if facts.finished_at is not None and event.first_at is not None:
        return event.first_at <= facts.finished_at + _CLOCK_SECONDS
    return True


def _sentence(text: str | None) -> str:
    return (text or "").strip().rstrip(".")
