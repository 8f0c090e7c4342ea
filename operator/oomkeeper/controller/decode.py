"""Decode objects of the API server. Nothing here raises: a malformed part counts as absent, and `malformed`
or `invalid` names the problem."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from oomkeeper.api import InvalidObjectError
from oomkeeper.api.base import ApiModel
from oomkeeper.api.oompolicy import OOMPolicySpec
from oomkeeper.api.oomreport import OOMReportSpec
from oomkeeper.api.unknown_fields import without_unknown_fields
from oomkeeper.model.names import (
    CONTROLLER_MANAGER,
    PANIC_BREAKER_ANNOTATION,
    PANIC_CORDON_ANNOTATION,
    ROLLOUT_ANNOTATION,
)
from oomkeeper.model.sharing import shared
from oomkeeper.model.times import parse_time
from oomkeeper.reporting.counted_kills import hourly_kills
from oomkeeper.reporting.incident import resource_version, status_written_at
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomnode import Counters, OOMNodeSpec, OOMNodeStatus
from oomkeeper.resources.oompolicy import OOMPolicyStatus
from oomkeeper.resources.oomreport import OOMReportStatus
from oomkeeper.resources.record import Record, read_part

from .objects import KilledContainer, Namespace, Node, OOMNodeState, Policy, Report

_Spec = TypeVar("_Spec", bound=ApiModel)


class _NodeCondition(Record, frozen=True, kw_only=True):
    type: str
    status: str
    last_heartbeat_time: str | None = None
    last_transition_time: str | None = None


class _NodeInfo(Record, frozen=True, kw_only=True):
    boot_id: str = msgspec.field(default="", name="bootID")
    operating_system: str = ""


class _NodeStatus(Record, frozen=True, kw_only=True):
    """core/v1 NodeStatus, in part."""

    conditions: tuple[_NodeCondition, ...] = ()
    node_info: _NodeInfo = _NodeInfo()


class _NodeSpec(Record, frozen=True, kw_only=True):
    """core/v1 NodeSpec, in part."""

    unschedulable: bool = False


class _Seen(Record, frozen=True, kw_only=True):
    """status of a ContainerKill, in part."""

    last_seen: str | None = None


def decode_policy(obj: Mapping[str, Any]) -> Policy:
    """Decode an OOMPolicy."""
    metadata = _metadata(obj)
    spec, invalid, unknown_fields = _spec(OOMPolicySpec, obj.get("spec"))
    return Policy(
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        generation=metadata.generation or 0,
        created=parse_time(metadata.creation_timestamp) or 0.0,
        deleting=metadata.deletion_timestamp is not None,
        spec=spec,
        spec_generation=metadata.generation or 0,
        invalid=invalid,
        unknown_fields=unknown_fields,
        priority=_priority(obj.get("spec")),
        rollout_request=(metadata.annotations or {}).get(ROLLOUT_ANNOTATION),
        breaker_request=(metadata.annotations or {}).get(PANIC_BREAKER_ANNOTATION),
        status=read_part(OOMPolicyStatus, obj.get("status"))[0],
    )


def decode_report(obj: Mapping[str, Any]) -> Report:
    """Decode an OOMReport."""
    metadata = _metadata(obj)
    spec, invalid, _ = _spec(OOMReportSpec, obj.get("spec"))
    return Report(
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        generation=metadata.generation or 0,
        spec=spec,
        invalid=invalid,
        status=read_part(OOMReportStatus, obj.get("status"))[0],
    )


def decode_container_kill(obj: Mapping[str, Any]) -> KilledContainer:
    """Decode a ContainerKill."""
    metadata = _metadata(obj)
    status = read_part(_Seen, obj.get("status") or {})[0] or _Seen()
    times = [time for time in (parse_time(status.last_seen), status_written_at(obj)) if time is not None]
    return KilledContainer(
        namespace=shared(metadata.namespace or ""),
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        last_seen=min(times) if status.last_seen is not None and times else None,
    )


def decode_node(obj: Mapping[str, Any]) -> Node:
    """Decode a core/v1 Node. Without an operating system it counts as Linux: kubelet always reports it."""
    metadata = _metadata(obj)
    status = read_part(_NodeStatus, obj.get("status"))[0] or _NodeStatus()
    labels = _labels(metadata)
    system = labels.get("kubernetes.io/os") or status.node_info.operating_system or "linux"
    ready = [condition for condition in status.conditions if condition.type == "Ready"]
    spec = read_part(_NodeSpec, obj.get("spec") or {})[0] or _NodeSpec()
    return Node(
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        labels=labels,
        linux=system == "linux",
        ready=ready[0].status == "True" if ready else None,
        ready_since=parse_time(ready[0].last_transition_time) if ready else None,
        unschedulable=spec.unschedulable,
        cordoned_by_us=spec.unschedulable and _owns_cordon(obj),
        cordon_note=(metadata.annotations or {}).get(PANIC_CORDON_ANNOTATION),
        boot_id=status.node_info.boot_id or None,
        clock_skew_seconds=_clock_skew_seconds(obj, status),
    )


def _owns_cordon(obj: Mapping[str, Any]) -> bool:
    """Return whether the controller has applied spec.unschedulable and no one has changed it since."""
    entries = (obj.get("metadata") or {}).get("managedFields")
    return any(
        isinstance(entry, Mapping)
        and (entry.get("manager"), entry.get("operation")) == (CONTROLLER_MANAGER, "Apply")
        and "f:unschedulable" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
        for entry in (entries if isinstance(entries, list) else ())
    )


def _clock_skew_seconds(obj: Mapping[str, Any], status: _NodeStatus) -> int:
    """Return kubelet's time of its last heartbeat minus the API server's time of that write."""
    heartbeats = (parse_time(condition.last_heartbeat_time) for condition in status.conditions)
    heartbeat = max((time for time in heartbeats if time is not None), default=None)
    written = status_written_at(obj, manager="kubelet")
    if heartbeat is None or written is None:
        return 0
    skew = heartbeat - written
    # In whole minutes, so that a jitter of seconds is no change of the node.
    return round(skew / 60) * 60 if abs(skew) >= 60 else 0


def decode_oomnode(obj: Mapping[str, Any]) -> OOMNodeState:
    """Decode an OOMNode."""
    metadata = _metadata(obj)
    raw_spec = obj.get("spec") or {}
    spec, bad_spec = read_part(OOMNodeSpec, raw_spec)
    status, bad_status = read_part(OOMNodeStatus, obj.get("status") or {})
    status = status or OOMNodeStatus()
    return OOMNodeState(
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        generation=metadata.generation or 0,
        owner_uids=tuple(str(owner.get("uid")) for owner in metadata.owner_references or ()),
        spec=shared(spec or OOMNodeSpec()),
        foreign=spec is None or _foreign(raw_spec, msgspec.to_builtins(spec)),
        observed_generation=status.observed_generation or 0,
        sysctls={sysctl.name: shared(sysctl) for sysctl in status.sysctls},
        adjustments={
            shared((entry.policy, entry.name)): shared(entry) for entry in status.oom_score_adjustments
        },
        boot_id=(status.kernel.boot_id if status.kernel else None) or None,
        counters=shared(status.counters or Counters()),
        recent_panics=tuple(time for time in map(parse_time, status.recent_panics) if time is not None),
        history=hourly_kills(status.history),
        malformed=bad_spec or bad_status,
    )


def decode_namespace(obj: Mapping[str, Any]) -> Namespace:
    """Decode a core/v1 Namespace."""
    metadata = _metadata(obj)
    return Namespace(
        name=metadata.name or "",
        uid=metadata.uid or "",
        version=resource_version(metadata),
        labels=_labels(metadata),
    )


def _labels(metadata: ObjectMeta) -> dict[str, str]:
    return {shared(key): shared(value) for key, value in (metadata.labels or {}).items()}


def _metadata(obj: Mapping[str, Any]) -> ObjectMeta:
    return read_part(ObjectMeta, obj.get("metadata"))[0] or ObjectMeta()


def _spec(model: type[_Spec], raw: object) -> tuple[_Spec | None, str | None, tuple[str, ...]]:
    """Return the validated spec, or the problem; and the unknown fields, which are ignored."""
    if raw is None:
        raw = {}
    if not isinstance(raw, Mapping):
        return None, "spec: must be an object", ()
    known, unknown = without_unknown_fields(model, raw)
    paths = tuple(f"spec.{path}" for path in unknown)
    try:
        return model.parse(known), None, paths
    except InvalidObjectError as error:
        prefix = "spec." if error.problems[0].path else "spec: "
        return None, f"{prefix}{error}", paths


def _priority(raw_spec: object) -> int:
    """Return spec.priority, whatever else is wrong with the spec."""
    default = OOMPolicySpec.model_fields["priority"].default
    priority = raw_spec.get("priority", default) if isinstance(raw_spec, Mapping) else default
    return priority if isinstance(priority, int) and not isinstance(priority, bool) else int(default)


def _foreign(raw: object, known: object) -> bool:
    """Return whether `raw` holds a field with a value that `known`, the same object as read, does not."""
    if isinstance(raw, Mapping) and isinstance(known, Mapping):
        return any(
            _foreign(value, known[key]) if key in known else value not in (None, [], {})
            for key, value in raw.items()
        )
    if isinstance(raw, list) and isinstance(known, list | tuple):
        return len(raw) != len(known) or any(map(_foreign, raw, known))
    return False
