"""Why a value is not applied."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A CamelCase reason and a sentence that says what to do."""

    reason: str
    message: str
