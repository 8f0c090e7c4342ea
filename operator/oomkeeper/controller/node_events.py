"""Events of an OOMNode: corrected drift, refused values, restored values.

They follow from two successive states of the object, so a controller that starts reports nothing that
happened before.
"""

from collections.abc import Iterator

from oomkeeper.resources.oomnode import ObservedSysctl

from .event_objects import ClusterEvent, Subject
from .objects import OOMNodeState


def node_events(before: OOMNodeState, after: OOMNodeState) -> Iterator[ClusterEvent]:
    """Yield the Events of a change. Both states are of the same object."""
    subject = Subject("OOMNode", after.name, after.uid)
    for name, sysctl in after.sysctls.items():
        known = before.sysctls.get(name)
        yield from _drift(subject, sysctl, known=known)
        yield from _refusal(subject, sysctl, known=known)
    for name, sysctl in before.sysctls.items():
        if name not in after.sysctls:
            yield _release(subject, sysctl, before=before)


def _drift(
    subject: Subject, sysctl: ObservedSysctl, *, known: ObservedSysctl | None
) -> Iterator[ClusterEvent]:
    count = sysctl.drift_count or 0
    if known is None or count <= (known.drift_count or 0):
        return
    suspected = sysctl.suspected_writer
    writer = f", probably by {suspected}" if suspected and suspected != "unknown" else ""
    overwritten = f"{sysctl.name} was overwritten {'once' if count == 1 else f'{count} times'}{writer}"
    if sysctl.state == "Drifted":
        message = f"{overwritten}; it is {sysctl.actual}, not {sysctl.desired}"
    else:
        message = f"{overwritten}{',' if writer else ''} and corrected to {sysctl.desired}"
    yield ClusterEvent(subject, _series(sysctl.name, "drift"), "Warning", "SysctlDrifted", message, count)


def _refusal(
    subject: Subject, sysctl: ObservedSysctl, *, known: ObservedSysctl | None
) -> Iterator[ClusterEvent]:
    if sysctl.state != "Refused":
        return
    if known is not None and (known.state, known.reason) == (sysctl.state, sysctl.reason):
        return
    because = ": ".join(filter(None, (sysctl.reason, sysctl.message)))
    message = f"{sysctl.name} was not set to {sysctl.desired}" + (f": {because}" if because else "")
    yield ClusterEvent(subject, _series(sysctl.name, "refused"), "Warning", "SysctlRefused", message)


def _release(subject: Subject, sysctl: ObservedSysctl, *, before: OOMNodeState) -> ClusterEvent:
    keeps = any(one.on_release == "Keep" for one in before.spec.sysctls if one.name == sysctl.name)
    if sysctl.original is None or keeps or sysctl.mode == "Audit":
        message = f"{sysctl.name} is no longer set by a policy; its value stays"
    else:
        message = f"{sysctl.name} is no longer set by a policy; {sysctl.original} was restored"
    return ClusterEvent(subject, _series(sysctl.name, "released"), "Normal", "SysctlReleased", message)


def _series(sysctl: str, what: str) -> str:
    return f"{sysctl.replace('.', '-').replace('_', '-')}-{what}"
