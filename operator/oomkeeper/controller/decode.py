"""Decode objects of the API server. Nothing here raises: content that violates the schema becomes
`invalid`."""

from collections.abc import Mapping
from typing import Any, TypeVar

from oomkeeper.api import InvalidObjectError
from oomkeeper.api.base import ApiModel
from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.model.times import parse_time
from oomkeeper.reporting.loose import items, mapping, text, whole

from .objects import (
    AdjustmentReport,
    DesiredSysctl,
    Namespace,
    Node,
    OOMNodeState,
    Policy,
    Report,
    SysctlReport,
)

_Spec = TypeVar("_Spec", bound=ApiModel)
_SPEC_FIELDS = frozenset({"sysctls", "hostKills", "oomScoreAdjustments"})
_ENTRY_FIELDS = frozenset({"name", "value", "policy", "mode", "persistence", "onRelease", "acknowledge"})


def decode_policy(obj: Mapping[str, Any]) -> Policy:
    """Decode an OOMPolicy."""
    metadata = mapping(obj.get("metadata"))
    spec, invalid = _spec(OOMPolicySpec, obj.get("spec"))
    return Policy(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=_version(metadata),
        generation=whole(metadata.get("generation")) or 0,
        created=parse_time(metadata.get("creationTimestamp")) or 0.0,
        deleting="deletionTimestamp" in metadata,
        spec=spec,
        invalid=invalid,
        status=mapping(obj.get("status")),
    )


def decode_report(obj: Mapping[str, Any]) -> Report:
    """Decode an OOMReport."""
    metadata = mapping(obj.get("metadata"))
    spec, invalid = _spec(OOMReportSpec, obj.get("spec"))
    return Report(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=_version(metadata),
        generation=whole(metadata.get("generation")) or 0,
        spec=spec,
        invalid=invalid,
        status=mapping(obj.get("status")),
    )


def _spec(model: type[_Spec], raw: object) -> tuple[_Spec | None, str | None]:
    """Return the spec, or the problem."""
    if raw is None:
        raw = {}
    if not isinstance(raw, Mapping):
        return None, "spec: must be an object"
    try:
        return model.parse(raw), None
    except InvalidObjectError as error:
        where = "spec." if error.problems[0].path else "spec: "
        return None, f"{where}{error}"


def decode_node(obj: Mapping[str, Any]) -> Node:
    """Decode a core/v1 Node. Without an operating system it counts as Linux: kubelet always reports it."""
    metadata, status = mapping(obj.get("metadata")), mapping(obj.get("status"))
    labels = mapping(metadata.get("labels"))
    info = mapping(status.get("nodeInfo"))
    system = labels.get("kubernetes.io/os") or info.get("operatingSystem") or "linux"
    ready = [
        condition.get("status")
        for condition in map(mapping, items(status.get("conditions")))
        if condition.get("type") == "Ready"
    ]
    return Node(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=_version(metadata),
        labels=dict(labels),
        linux=system == "linux",
        ready=ready[0] == "True" if ready else None,
        boot_id=text(info.get("bootID")) or None,
    )


def decode_oomnode(obj: Mapping[str, Any]) -> OOMNodeState:
    """Decode an OOMNode."""
    metadata, spec, status = (
        mapping(obj.get("metadata")),
        mapping(obj.get("spec")),
        mapping(obj.get("status")),
    )
    counters = mapping(status.get("counters"))
    entries = [mapping(entry) for entry in items(spec.get("sysctls"))]
    foreign = {name for name, value in spec.items() if value} - _SPEC_FIELDS
    return OOMNodeState(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=_version(metadata),
        generation=whole(metadata.get("generation")) or 0,
        owner_uids=tuple(text(mapping(owner).get("uid")) for owner in items(metadata.get("ownerReferences"))),
        sysctls=tuple(sorted(map(_entry, entries))),
        adjustments=tuple(map(mapping, items(spec.get("oomScoreAdjustments")))),
        host_kills=spec.get("hostKills") is not False,
        extras=bool(foreign) or any(set(entry) - _ENTRY_FIELDS for entry in entries),
        observed_generation=whole(status.get("observedGeneration")) or 0,
        reports={
            text(report.get("name")): _sysctl(report) for report in map(mapping, items(status.get("sysctls")))
        },
        adjusted={
            (text(report.get("policy")), text(report.get("name"))): _adjustment(report)
            for report in map(mapping, items(status.get("oomScoreAdjustments")))
        },
        boot_id=text(mapping(status.get("kernel")).get("bootID")) or None,
        unattributed=whole(counters.get("unattributed")) or 0,
        lost_log_records=whole(counters.get("lostLogRecords")) or 0,
    )


def _entry(entry: Mapping[str, Any]) -> DesiredSysctl:
    value = whole(entry.get("value"))
    return DesiredSysctl(
        name=text(entry.get("name")),
        value=-1 if value is None else value,
        policy=text(entry.get("policy")),
        mode=text(entry.get("mode")) or "Enforce",
        persistence=text(entry.get("persistence")) or "Runtime",
        on_release=text(entry.get("onRelease")) or "Restore",
        acknowledge=tuple(sorted(map(str, items(entry.get("acknowledge"))))),
    )


def _sysctl(raw: Mapping[str, Any]) -> SysctlReport:
    return SysctlReport(
        desired=whole(raw.get("desired")),
        actual=whole(raw.get("actual")),
        policy=text(raw.get("policy")) or None,
        state=text(raw.get("state")),
        reason=text(raw.get("reason")),
        message=text(raw.get("message")),
    )


def _adjustment(raw: Mapping[str, Any]) -> AdjustmentReport:
    return AdjustmentReport(
        value=whole(raw.get("value")),
        state=text(raw.get("state")),
        reason=text(raw.get("reason")),
        message=text(raw.get("message")),
        pods=whole(raw.get("pods")) or 0,
        in_force=whole(raw.get("inForce")) or 0,
        failed=whole(raw.get("failed")) or 0,
        overridden=whole(raw.get("overridden")) or 0,
        overridden_by=text(raw.get("overriddenBy")),
        differing=whole(raw.get("differing")) or 0,
    )


def decode_namespace(obj: Mapping[str, Any]) -> Namespace:
    """Decode a core/v1 Namespace."""
    metadata = mapping(obj.get("metadata"))
    return Namespace(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=_version(metadata),
        labels=dict(mapping(metadata.get("labels"))),
    )


def _version(metadata: Mapping[str, Any]) -> int:
    version = text(metadata.get("resourceVersion"))
    return int(version) if version.isdecimal() else 0
