"""The settings that a node should have: OOMNode.spec, or a policy file, checked once more.

The API server has checked the object against the schema already. An entry that gets past it, because the
schema is older or the check was bypassed, is set aside with a reason and never reaches /proc/sys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from oomkeeper.model.policy import Mode, OnRelease, Persistence
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from oomkeeper.model.times import parse_time
from oomkeeper.resources.oomnode import DesiredAdjustment, DesiredSysctl
from oomkeeper.resources.record import read

from .choices import check_choice
from .oomscoreadj.entry import entry_id, parse_entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The settings of one node, and the entries that were set aside."""

    generation: int | None = None
    sysctls: tuple[DesiredSysctl, ...] = ()
    adjustments: tuple[DesiredAdjustment, ...] = ()
    """In order of precedence: of two that name the same process the first decides."""
    host_kills: bool = True
    """Whether this node publishes kills of host processes: of the nodes that share a kernel, one does."""
    problems: tuple[str, ...] = ()
    """One sentence for each entry that was set aside."""


def parse_desired(obj: Mapping[str, object]) -> Desired:
    """Return the settings in an OOMNode object. Never raises: a bad entry becomes a problem."""
    spec, meta = _mapping(obj.get("spec")), _mapping(obj.get("metadata"))
    problems: list[str] = []
    sysctls = _entries(spec, "sysctls", parse=parse_sysctl, name=lambda one: one.name, problems=problems)
    adjustments = _entries(spec, "oomScoreAdjustments", parse=parse_entry, name=entry_id, problems=problems)
    generation = meta.get("generation")
    return Desired(
        generation=generation if isinstance(generation, int) else None,
        sysctls=sysctls,
        adjustments=adjustments,
        host_kills=spec.get("hostKills") is not False,
        problems=tuple(problems),
    )


def parse_sysctl(raw: object) -> DesiredSysctl:
    """Return one entry of spec.sysctls. Raises ValueError with what is wrong and what to write."""
    if not isinstance(raw, Mapping):
        raise ValueError("is not an object")
    name, value = raw.get("name"), raw.get("value")
    rule = SYSCTL_RULES.get(name) if isinstance(name, str) else None
    if rule is None:
        raise ValueError(f"{name!r} is not one of the sysctls that oomkeeper sets: {', '.join(SYSCTL_RULES)}")
    if not isinstance(value, int) or isinstance(value, bool) or not rule.minimum <= value <= rule.maximum:
        raise ValueError(f"{name} is {value!r}; write a whole number from {rule.minimum} to {rule.maximum}")
    entry = read(DesiredSysctl, {"policy": "", **raw})
    check_choice("mode", entry.mode, tuple(Mode))
    check_choice("persistence", entry.persistence, tuple(Persistence))
    check_choice("onRelease", entry.on_release, tuple(OnRelease))
    if entry.panic_limit is not None and parse_time(entry.panic_limit.counted_from) is None:
        raise ValueError(f"panicLimit.countedFrom is {entry.panic_limit.counted_from!r}; write a time")
    return entry


def _entries(
    spec: Mapping[str, object],
    field: str,
    *,
    parse: Callable[[object], T],
    name: Callable[[T], str],
    problems: list[str],
) -> tuple[T, ...]:
    """Return the good entries of a list; adds a sentence to `problems` for each other."""
    raw = spec.get(field) or ()
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        problems.append(f"spec.{field} is not a list")
        return ()
    good: dict[str, T] = {}
    for number, item in enumerate(raw):
        try:
            entry = parse(item)
            if name(entry) in good:
                raise ValueError(f"{name(entry)} is there twice")
        except ValueError as error:
            problems.append(f"spec.{field}[{number}]: {error}")
        else:
            good[name(entry)] = entry
    return tuple(good.values())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
