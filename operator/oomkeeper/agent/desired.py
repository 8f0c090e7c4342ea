"""What a node should have: the desired sysctls as the controller (or a policy file) states them, checked
once more.

The API server has checked the object against the schema already. What gets past it, because the schema is
older or the check was bypassed, is set aside with a reason and never reaches /proc/sys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oomkeeper.model.sysctl import SYSCTL_RULES

from .oomscoreadj.entry import AdjustmentEntry, parse_rule

ENFORCE = "Enforce"
AUDIT = "Audit"
RUNTIME = "Runtime"
PERSISTENT = "Persistent"
RESTORE = "Restore"
KEEP = "Keep"

_CHOICES = {"mode": (ENFORCE, AUDIT), "persistence": (RUNTIME, PERSISTENT), "onRelease": (RESTORE, KEEP)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredSysctl:
    """One key of OOMNode.spec.sysctls."""

    key: str
    value: int
    policy: str
    mode: str = ENFORCE
    persistence: str = RUNTIME
    on_release: str = RESTORE
    acknowledge: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything asked of a node, and what of it makes no sense."""

    generation: int | None = None
    sysctls: tuple[DesiredSysctl, ...] = ()
    adjustments: tuple[AdjustmentEntry, ...] = ()
    """By standing: of two that name the same process the first decides."""
    host_kills: bool = True
    """Whether this node publishes the kills of the host's own processes: of the nodes that share a kernel,
    one does."""
    problems: tuple[str, ...] = ()
    """One sentence for each entry set aside."""


def parse_desired(obj: Mapping[str, Any]) -> Desired:
    """An OOMNode object -> what it asks for. Never raises: a bad entry becomes a problem."""
    spec = obj.get("spec")
    spec = spec if isinstance(spec, Mapping) else {}
    entries = spec.get("sysctls") or []
    sysctls: dict[str, DesiredSysctl] = {}
    problems: list[str] = []
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        entries, problems = [], ["spec.sysctls is not a list"]
    for number, entry in enumerate(entries):
        problem = _problem(entry)
        if problem is None and entry["name"] in sysctls:
            problem = f"{entry['name']} is there twice"
        if problem is not None:
            problems.append(f"spec.sysctls[{number}]: {problem}")
            continue
        sysctls[entry["name"]] = DesiredSysctl(
            key=entry["name"],
            value=entry["value"],
            policy=str(entry.get("policy", "")),
            mode=entry.get("mode", ENFORCE),
            persistence=entry.get("persistence", RUNTIME),
            on_release=entry.get("onRelease", RESTORE),
            acknowledge=frozenset(map(str, entry.get("acknowledge") or ())),
        )
    meta = obj.get("metadata")
    generation = meta.get("generation") if isinstance(meta, Mapping) else None
    adjustments, more = _adjustments(spec.get("oomScoreAdjustments") or [])
    problems += more
    return Desired(
        generation=generation if isinstance(generation, int) else None,
        sysctls=tuple(sysctls.values()),
        host_kills=spec.get("hostKills") is not False,
        adjustments=adjustments,
        problems=tuple(problems),
    )


def _adjustments(entries: Any) -> tuple[tuple[AdjustmentEntry, ...], list[str]]:
    """Those that make sense, and a sentence for each that does not."""
    if not isinstance(entries, list | tuple):
        return (), ["spec.oomScoreAdjustments is not a list"]
    good: dict[str, AdjustmentEntry] = {}
    problems = []
    for number, entry in enumerate(entries):
        try:
            rule = parse_rule(entry)
        except ValueError as error:
            problems.append(f"spec.oomScoreAdjustments[{number}]: {error}")
            continue
        if rule.id in good:
            problems.append(f"spec.oomScoreAdjustments[{number}]: {rule.id} is there twice")
        else:
            good[rule.id] = rule
    return tuple(good.values()), problems


def _problem(entry: Any) -> str | None:
    if not isinstance(entry, Mapping):
        return "is not an object"
    name, value = entry.get("name"), entry.get("value")
    rule = SYSCTL_RULES.get(name) if isinstance(name, str) else None
    if rule is None:
        return f"{name!r} is not one of the sysctls that oomkeeper sets: {', '.join(SYSCTL_RULES)}"
    if not isinstance(value, int) or isinstance(value, bool) or not rule.minimum <= value <= rule.maximum:
        return f"{name} is {value!r}; write a whole number from {rule.minimum} to {rule.maximum}"
    if not isinstance(entry.get("acknowledge") or (), list | tuple):
        return f"{name}: acknowledge is {entry['acknowledge']!r}; write a list"
    for field, choices in _CHOICES.items():
        if entry.get(field, choices[0]) not in choices:
            return f"{name}: {field} is {entry[field]!r}; write {' or '.join(choices)}"
    return None
