"""Conditions of a status (sig-architecture/api-conventions.md, "Typical status properties")."""

from collections.abc import Sequence
from typing import NamedTuple

from oomkeeper.resources import meta


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
    previous: Sequence[meta.Condition],
    generation: int,
    now: str,
) -> tuple[meta.Condition, ...]:
    """Return status.conditions. lastTransitionTime changes only where the status of a type does.

    `previous`: status.conditions of the present object; `now`: RFC 3339.
    """
    before = {condition.type: condition for condition in previous}
    listed = []
    for condition in wanted:
        status = "True" if condition.holds else "False"
        old = before.get(condition.type)
        listed.append(
            meta.Condition(
                type=condition.type,
                status=status,
                reason=condition.reason,
                message=condition.message,
                last_transition_time=old.last_transition_time if old and old.status == status else now,
                observed_generation=generation,
            )
        )
    return tuple(listed)
