"""Which OOMPolicy sets which key on which nodes, and what is overridden. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from oomkeeper.model.json_types import ForeignObject, JsonDocument
from oomkeeper.model.units import count_text
from oomkeeper.resources.oomnode import (
    DesiredAdjustment,
    DesiredSysctl,
    ObservedAdjustment,
    ObservedSysctl,
    OOMNode,
    OOMNodeStatus,
)
from oomkeeper.resources.oompolicy import OOMPolicy, OOMPolicyStatus
from oomkeeper.resources.record import MalformedObjectError, R, read

COLUMNS = ("POLICY", "KEY", "VALUE", "MODE", "STATE", "NODES", "DETAIL")
WIDE_COLUMNS = ("NODE", "POLICY", "KEY", "VALUE", "ACTUAL", "MODE", "STATE", "DETAIL")
_EXAMPLES = 3


class Setting(NamedTuple):
    """One key that a policy sets on one node, or that it does not get to set there."""

    policy: str
    key: str
    """A sysctl, or `oomScoreAdj NAME`."""
    value: int | None
    mode: str
    state: str
    """As the agent reports it; Pending where it has not reported on the spec; Overridden; or, of a policy
    as a whole, the reason of its condition Ready."""
    detail: str
    node: str | None
    """None: counted by the controller, on `nodes` nodes."""
    nodes: int = 1
    actual: int | None = None


def decode_all(kind: type[R], objects: Iterable[ForeignObject]) -> list[R]:
    """Decode objects; one that does not have the shape of its kind is left out."""
    found = []
    for raw in objects:
        try:
            found.append(read(kind, raw))
        except MalformedObjectError:
            continue
    return found


def settings_of(
    policies: Sequence[OOMPolicy],
    oomnodes: Sequence[OOMNode],
    *,
    policy: str | None = None,
    node: str | None = None,
) -> list[Setting]:
    """Return all settings, by policy, key and node; optionally only of one `policy` or on one `node`."""
    found = [setting for one in oomnodes if node in (None, one.metadata.name) for setting in _of_node(one)]
    if node is None:
        found += [setting for one in policies for setting in _of_policy(one, seen=found)]
    found = [one for one in found if policy in (None, one.policy)]
    return sorted(found, key=lambda one: (one.policy, one.key, one.node or ""))


def _of_node(obj: OOMNode) -> Iterator[Setting]:
    status, name = obj.status or OOMNodeStatus(), obj.metadata.name or ""
    current = (status.observed_generation or 0) >= (obj.metadata.generation or 0)
    sysctls = {(one.name, one.policy): one for one in status.sysctls} if current else {}
    for desired in obj.spec.sysctls:
        yield _sysctl(desired, sysctls.get((desired.name, desired.policy)), node=name)
    entries = {(one.policy, one.name): one for one in status.oom_score_adjustments} if current else {}
    for entry in obj.spec.oom_score_adjustments:
        yield _adjustment(entry, entries.get((entry.policy, entry.name)), node=name)


def _sysctl(desired: DesiredSysctl, observed: ObservedSysctl | None, *, node: str) -> Setting:
    if observed is None:
        return Setting(
            desired.policy, desired.name, desired.value, desired.mode, "Pending", "not reported yet", node
        )
    writer = f"; written by {observed.suspected_writer}" if observed.suspected_writer else ""
    drifts = f"drifted {observed.drift_count} times{writer}" if observed.drift_count else ""
    return Setting(
        desired.policy,
        desired.name,
        desired.value,
        desired.mode,
        observed.state,
        "; ".join(filter(None, (observed.message, drifts))),
        node,
        actual=observed.actual,
    )


def _adjustment(desired: DesiredAdjustment, observed: ObservedAdjustment | None, *, node: str) -> Setting:
    key = f"oomScoreAdj {desired.name}"
    if observed is None:
        return Setting(desired.policy, key, desired.value, desired.mode, "Pending", "not reported yet", node)
    counts = (
        (observed.in_force, "processes have it"),
        (observed.failed, "processes have another value"),
        (observed.overridden, f"overridden by {observed.overridden_by or 'another entry'}"),
        (observed.differing, "processes differ"),
    )
    words = [f"{count} {what}" for count, what in counts if count]
    return Setting(
        desired.policy,
        key,
        desired.value,
        desired.mode,
        observed.state,
        "; ".join(filter(None, (observed.message, *words))),
        node,
    )


def _of_policy(obj: OOMPolicy, *, seen: Sequence[Setting]) -> Iterator[Setting]:
    """Yield what other policies override, as the controller counts it; and a policy that is set nowhere."""
    name, status = obj.metadata.name or "", obj.status or OOMPolicyStatus()
    for one in status.overridden:
        yield Setting(
            name,
            one.sysctl,
            obj.spec.sysctls.get(one.sysctl),
            obj.spec.mode,
            "Overridden",
            f"by policy {one.by}",
            None,
            nodes=one.nodes,
        )
    if status.overridden or any(one.policy == name for one in seen):
        return
    ready = next((one for one in status.conditions if one.type == "Ready"), None)
    reason = "Suspended" if obj.spec.suspend else ready.reason if ready else "NotReconciled"
    message = ready.message if ready else "the controller has not written its status"
    yield Setting(name, "", None, obj.spec.mode, reason, message, None, nodes=0)


def setting_rows(settings: Sequence[Setting], *, wide: bool = False) -> list[tuple[str, ...]]:
    """Return the rows under COLUMNS, equal settings counted together; or under WIDE_COLUMNS, one per node."""
    if wide:
        return [
            (
                one.node or f"({count_text(one.nodes, 'node')})",
                one.policy,
                one.key,
                _number(one.value),
                _number(one.actual),
                one.mode,
                one.state,
                one.detail,
            )
            for one in settings
        ]
    groups: dict[tuple[Any, ...], list[Setting]] = {}
    for one in settings:
        groups.setdefault((one.policy, one.key, one.value, one.mode, one.state), []).append(one)
    return [
        (
            policy,
            key,
            _number(value),
            mode,
            state,
            str(sum(one.nodes for one in group)),
            _detail(group),
        )
        for (policy, key, value, mode, state), group in groups.items()
    ]


def _detail(group: Sequence[Setting]) -> str:
    """Return the detail of equal settings; where they differ, or something is wrong, with example nodes."""
    details = list(dict.fromkeys(one.detail for one in group if one.detail))
    names = [one.node for one in group if one.node]
    where = ""
    if names and group[0].state != "InSync":
        more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
        where = f"on {', '.join(names[:_EXAMPLES])}{more}"
    return ": ".join(filter(None, (where, details[0] if details else "")))


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def setting_records(settings: Sequence[Setting]) -> list[JsonDocument]:
    """Return the settings as JSON-ready values."""
    return [one._asdict() | {"detail": one.detail or None} for one in settings]
