"""Conditions as the Kubernetes API conventions want them (sig-architecture/api-conventions.md, "Typical
status properties")."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_MESSAGE_MAX = 1024


class Finding(NamedTuple):
    """What one condition is to say."""

    type: str
    holds: bool
    reason: str
    """CamelCase."""
    message: str = ""


def conditions(
    findings: Sequence[Finding],
    *,
    previous: object,
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """The list for status.conditions. lastTransitionTime moves only where the status of a type does.

    `previous`: status.conditions as it stands; `now`: RFC 3339.
    """
    before = (
        {condition.get("type"): condition for condition in previous if isinstance(condition, Mapping)}
        if isinstance(previous, list)
        else {}
    )
    listed = []
    for finding in findings:
        status = "True" if finding.holds else "False"
        old = before.get(finding.type, {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        listed.append(
            {
                "type": finding.type,
                "status": status,
                "reason": finding.reason,
                "message": finding.message[:_MESSAGE_MAX],
                "lastTransitionTime": since or now,
                "observedGeneration": generation,
            }
        )
    return listed
