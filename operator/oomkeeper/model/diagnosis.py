"""The diagnosis of one Kill."""

from typing import NamedTuple

from .cause import BindingCounter, Cause, Confidence, ContributorName, Level, Outcome, Remedy, Scope


class Contributor(NamedTuple):
    """One part of the memory in use."""

    name: ContributorName
    bytes: int
    share: float
    """Part of the usage at the limit (memcg) or of the managed memory (global), up to 1; 0 if that total is
    unknown."""
    detail: str | None = None
    """The slab cache's name, the tmpfs..., where the report names it."""


class Advice(NamedTuple):
    """One remedy, with its numbers."""

    remedy: Remedy
    message: str


class Diagnosis(NamedTuple):
    """Cause and circumstances of one Kill, with remedies."""

    scope: Scope
    cause: Cause
    level: Level | None
    outcome: Outcome
    limit_bytes: int | None
    """Limit of the binding counter that was in force at the kill."""
    usage_bytes: int | None
    binding_counter: BindingCounter | None
    contributors: tuple[Contributor, ...]
    """Largest first."""
    confidence: Confidence
    summary: str
    """One sentence that a person understands, without markup."""
    advice: tuple[Advice, ...]
    uncertain: tuple[str, ...] = ()
    """What the log does not show, or why the verdict may be wrong; one sentence each."""
