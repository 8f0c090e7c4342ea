"""Conditions of a status (sig-architecture/api-conventions.md, "Typical status properties")."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_MESSAGE_MAX = 1024


class Condition(NamedTuple):
    """One condition, without its times."""

    type: str
    holds: bool
    reason: str
    """CamelCase."""
    message: str


def conditions(
    wanted: Sequence[Condition],
    *,
    previous: object,
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """Return status.conditions. lastTransitionTime changes only where the status of a type does.

    `previous`: status.conditions of the present object; `now`: RFC 3339.
    """
    before = (
        {condition.get("type"): condition for condition in previous if isinstance(condition, Mapping)}
        if isinstance(previous, list)
        else {}
    )
    listed = []
    for condition in wanted:
        status = "True" if condition.holds else "False"
        old = before.get(condition.type, {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        listed.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message[:_MESSAGE_MAX],
                "lastTransitionTime": since or now,
                "observedGeneration": generation,
            }
        )
    return listed
