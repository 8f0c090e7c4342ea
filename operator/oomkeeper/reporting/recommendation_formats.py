"""Recommendations as what people put into their tools: a patch, Kustomize, Helm values, a
VerticalPodAutoscaler, or text. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.units import bytes_text, count_text

from .recommendation import RAISE, Recommendation, recommendation_record
from .table import table_lines
from .workload_template import ContainerSettings, WorkloadKind, nested

_COLUMNS = ("CONTAINER", "VERDICT", "KILLS", "LIMIT", "RECOMMENDED", "REQUEST", "RECOMMENDED REQUEST")


def resources_of(one: Recommendation) -> JsonDocument:
    """Return the `resources` of a container that is to be raised."""
    found: JsonDocument = recommendation_record(one)["resources"]
    return {"requests": found["requests"], "limits": found["limits"]}


def pod_spec_patch(
    raised: Sequence[Recommendation], *, template: Sequence[ContainerSettings] | None
) -> JsonDocument:
    """Return the patch of a pod's spec."""
    fields = {one.name: one.field for one in template or ()}
    spec: dict[str, list[Any]] = {}
    for one in raised:
        entry = {"name": one.container, "resources": resources_of(one)}
        spec.setdefault(fields.get(one.container or "", "containers"), []).append(entry)
    return dict(spec)


def workload_patch(
    raised: Sequence[Recommendation],
    *,
    kind: WorkloadKind,
    template: Sequence[ContainerSettings] | None,
) -> JsonDocument:
    """Return the strategic merge patch of a workload."""
    return nested(kind.pod_spec, pod_spec_patch(raised, template=template))


def kustomize_patch(
    raised: Sequence[Recommendation],
    *,
    kind: WorkloadKind,
    name: str,
    namespace: str,
    template: Sequence[ContainerSettings] | None,
) -> JsonDocument:
    """Return the same with the object that it is for: a file for `patches` of a kustomization."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace},
        **workload_patch(raised, kind=kind, template=template),
    }


def helm_values(raised: Sequence[Recommendation]) -> JsonDocument:
    """Return values as most charts name them: `resources`, below the container's name for several."""
    if len(raised) == 1:
        return {"resources": resources_of(raised[0])}
    return {str(one.container): {"resources": resources_of(one)} for one in raised}


def autoscaler(
    raised: Sequence[Recommendation], *, kind: WorkloadKind, name: str, namespace: str
) -> JsonDocument:
    """Return a VerticalPodAutoscaler that never sets a request below the recommended one. Mode Initial: it
    changes pods only when they are created."""
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targetRef": {"apiVersion": kind.api_version, "kind": kind.kind, "name": name},
            "updatePolicy": {"updateMode": "Initial"},
            "resourcePolicy": {
                "containerPolicies": [
                    {
                        "containerName": one.container,
                        "controlledResources": ["memory"],
                        "controlledValues": "RequestsAndLimits",
                        "minAllowed": resources_of(one)["requests"],
                    }
                    for one in raised
                ]
            },
        },
    }


def recommendation_text(found: Sequence[Recommendation], *, workload: str, namespace: str) -> Iterator[str]:
    """Yield the lines for a terminal."""
    total = sum(one.kills for one in found)
    yield printable(f"{workload} in namespace {namespace}: {count_text(total, 'OOM kill')}")
    yield ""
    yield from table_lines(
        _COLUMNS,
        [
            (
                one.container or "",
                one.verdict if one.verdict == RAISE else f"{one.verdict} ({one.reason})",
                str(one.kills),
                bytes_text(one.current_limit_bytes, missing=""),
                bytes_text(one.limit_bytes, missing=""),
                bytes_text(one.current_request_bytes, missing=""),
                bytes_text(one.request_bytes, missing=""),
            )
            for one in found
        ],
    )
    for one in found:
        yield ""
        yield printable(f"{one.container or 'No container'}: {one.message}")
        yield from (printable(f"  Uncertain: {sentence}") for sentence in one.uncertain)
