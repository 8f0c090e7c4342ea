"""Events of an OOMPolicy: a conflict with another policy."""

from oomkeeper.resources.oompolicy import OOMPolicyStatus

from .event_objects import ClusterEvent, Subject
from .objects import Policy


def conflict_event(policy: Policy, status: OOMPolicyStatus) -> ClusterEvent | None:
    """Return the Event of a conflict that the new status shows and the present one does not."""
    conflict = _conflict(status)
    if conflict is None or policy.status is None or conflict == _conflict(policy.status):
        return None
    subject = Subject("OOMPolicy", policy.name, policy.uid)
    return ClusterEvent(subject, "conflict", "Warning", "PolicyConflicted", conflict)


def _conflict(status: OOMPolicyStatus) -> str | None:
    """Return the message of the condition Conflicted if it is True."""
    return next(
        (one.message for one in status.conditions if (one.type, one.status) == ("Conflicted", "True")), None
    )
