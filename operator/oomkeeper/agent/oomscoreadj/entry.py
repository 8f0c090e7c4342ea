"""One entry of OOMNode.spec.oomScoreAdjustments, checked once more (see desired.py)."""

from collections.abc import Mapping

from oomkeeper.model.policy import Mode, OnRelease
from oomkeeper.resources.oomnode import DesiredAdjustment
from oomkeeper.resources.record import read

from ..choices import check_choice
from ..selector import check_selector

TARGETS = ("podSelector", "systemdUnit", "process")


def entry_id(entry: DesiredAdjustment) -> str:
    """Return `<policy>/<name>`, unique on the node."""
    return f"{entry.policy}/{entry.name}"


def parse_entry(raw: object) -> DesiredAdjustment:
    """Return the entry. Raises ValueError with what is wrong and what to write."""
    if not isinstance(raw, Mapping):
        raise ValueError("is not an object")
    value = raw.get("value")
    if not isinstance(value, int) or isinstance(value, bool) or not -1000 <= value <= 1000:
        raise ValueError(f"value is {value!r}; write a whole number from -1000 to 1000")
    entry = read(DesiredAdjustment, {"policy": "", **raw})
    if not entry.name:
        raise ValueError("name is empty; write a name")
    check_choice("mode", entry.mode, tuple(Mode))
    check_choice("onRelease", entry.on_release, tuple(OnRelease))
    if sum(raw.get(target) is not None for target in TARGETS) != 1:
        raise ValueError(f"write exactly one of {', '.join(TARGETS)}")
    if entry.pod_selector is None and (entry.namespace_selector is not None or entry.containers):
        # Without podSelector the restriction would not apply: the entry would name more than its author
        # meant.
        raise ValueError("namespaceSelector and containers restrict podSelector: write podSelector too")
    for field, selector in (
        ("podSelector", entry.pod_selector),
        ("namespaceSelector", entry.namespace_selector),
    ):
        if selector is not None:
            check_selector(field, selector)
    if entry.process is not None and not entry.process.comm:
        raise ValueError("process.comm is empty; write the name of a process")
    unit = entry.systemd_unit
    if unit is not None and (not unit or "/" in unit):
        raise ValueError(f"systemdUnit is {unit!r}; write the name of a unit")
    return entry
