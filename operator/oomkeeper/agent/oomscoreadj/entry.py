"""One entry of OOMNode.spec.oomScoreAdjustments, checked once more (see desired.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..selector import Selector, parse_selector

_MODES, _RELEASES = ("Enforce", "Audit"), ("Restore", "Keep")
_TARGETS = ("podSelector", "systemdUnit", "process")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentEntry:
    """A value, and the processes that shall have it: those of pods, of a systemd unit, or of a comm."""

    policy: str
    name: str
    value: int
    mode: str = "Enforce"
    on_release: str = "Restore"
    pods: Selector | None = None
    namespaces: Selector | None = None
    containers: frozenset[str] = frozenset()
    """Names; empty for every container."""
    unit: str | None = None
    comm: str | None = None

    @property
    def id(self) -> str:
        """`<policy>/<name>`, unique on the node."""
        return f"{self.policy}/{self.name}"

    @property
    def audits(self) -> bool:
        return self.mode == "Audit"


def parse_rule(raw: Any) -> AdjustmentEntry:
    """Raises ValueError with what is wrong and what to write."""
    if not isinstance(raw, Mapping):
        raise ValueError("is not an object")
    name, value = raw.get("name"), raw.get("value")
    if not isinstance(name, str) or not name:
        raise ValueError(f"name is {name!r}; write a name")
    if not isinstance(value, int) or isinstance(value, bool) or not -1000 <= value <= 1000:
        raise ValueError(f"value is {value!r}; write a whole number from -1000 to 1000")
    mode, on_release = raw.get("mode", _MODES[0]), raw.get("onRelease", _RELEASES[0])
    if mode not in _MODES or on_release not in _RELEASES:
        raise ValueError(
            f"mode is {mode!r} and onRelease {on_release!r}; write {' or '.join(_MODES)}, "
            f"{' or '.join(_RELEASES)}"
        )
    if sum(raw.get(target) is not None for target in _TARGETS) != 1:
        raise ValueError(f"write exactly one of {', '.join(_TARGETS)}")
    pods, namespaces = _selector(raw, "podSelector"), _selector(raw, "namespaceSelector")
    containers = raw.get("containers") or ()
    if not isinstance(containers, list | tuple) or not all(isinstance(one, str) for one in containers):
        raise ValueError(f"containers is {containers!r}; write a list of names")
    if pods is None and (namespaces is not None or containers):
        # Left out of account, it would make the entry about more than its author meant.
        raise ValueError("namespaceSelector and containers restrict podSelector: write podSelector too")
    process, unit = raw.get("process"), raw.get("systemdUnit")
    comm = process.get("comm") if isinstance(process, Mapping) else None
    if process is not None and (not isinstance(comm, str) or not comm):
        raise ValueError(f"process is {process!r}; write {{comm: NAME}}")
    if unit is not None and (not isinstance(unit, str) or "/" in unit or not unit):
        raise ValueError(f"systemdUnit is {unit!r}; write a unit's name")
    return AdjustmentEntry(
        policy=str(raw.get("policy", "")),
        name=name,
        value=value,
        mode=mode,
        on_release=on_release,
        pods=pods,
        namespaces=namespaces,
        containers=frozenset(containers),
        unit=unit,
        comm=comm,
    )


def _selector(raw: Mapping[str, Any], field: str) -> Selector | None:
    if raw.get(field) is None:
        return None
    try:
        return parse_selector(raw[field])
    except ValueError as error:
        raise ValueError(f"{field} {error}") from error
