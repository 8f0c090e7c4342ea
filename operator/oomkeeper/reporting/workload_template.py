"""What the pod template of a workload sets for memory. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from oomkeeper.model.json_types import ForeignObject, JsonDocument

_QUANTITY = re.compile(r"(\d{1,15})(?:\.(\d{1,9}))?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E|m)?", re.ASCII)
_SCALES: dict[str, int] = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
} | {f"{letter}i": 1 << (10 * power) for power, letter in enumerate("KMGTPE", 1)}
_FOLLOWS = re.compile(
    r"-XX:(?:Max|Initial)RAMPercentage=[\d.]+|-XX:MaxRAMFraction=\d+|-XX:\+UseCGroupMemoryLimitForHeap"
)
_FOLLOWING_VARIABLES = frozenset(
    {"DOTNET_GCHeapHardLimitPercent", "COMPlus_GCHeapHardLimitPercent", "AUTOMEMLIMIT"}
)
_POD_SPEC = ("spec",)
_TEMPLATE = ("spec", "template", "spec")


class WorkloadKind(NamedTuple):
    """A kind of workload whose pod template is known."""

    kind: str
    api_version: str
    plural: str
    pod_spec: tuple[str, ...] = _TEMPLATE
    """Where the pod's spec is."""
    mutable: bool = True
    """Whether the API server takes a change of the template."""

    def path(self, *, namespace: str, name: str) -> str:
        """Return the path of an object of this kind."""
        root = "/api" if "/" not in self.api_version else "/apis"
        return "/".join(
            (
                root,
                self.api_version,
                "namespaces",
                quote(namespace, safe=""),
                self.plural,
                quote(name, safe=""),
            )
        )


_KINDS = {
    one.kind: one
    for one in (
        WorkloadKind("Deployment", "apps/v1", "deployments"),
        WorkloadKind("StatefulSet", "apps/v1", "statefulsets"),
        WorkloadKind("DaemonSet", "apps/v1", "daemonsets"),
        WorkloadKind("ReplicaSet", "apps/v1", "replicasets"),
        WorkloadKind("ReplicationController", "v1", "replicationcontrollers"),
        WorkloadKind("CronJob", "batch/v1", "cronjobs", ("spec", "jobTemplate", *_TEMPLATE)),
        WorkloadKind("Job", "batch/v1", "jobs", mutable=False),
        WorkloadKind("Pod", "v1", "pods", _POD_SPEC, mutable=False),
    )
}


def workload_kind(kind: str) -> WorkloadKind | None:
    """Return a kind by its name; None for one that is not built in."""
    return _KINDS.get(kind)


class ContainerSettings(NamedTuple):
    """What a template sets for one container."""

    name: str
    limit_bytes: int | None
    request_bytes: int | None
    heap_follows: str | None
    """The setting by which its heap follows the limit; None where the template shows none."""
    field: str = "containers"
    """The list of the pod's spec that it is in."""


def containers_of(obj: ForeignObject, kind: WorkloadKind) -> list[ContainerSettings]:
    """Return the containers of a workload's template, init containers included."""
    spec: Any = obj
    for key in kind.pod_spec:
        spec = (spec.get(key) if isinstance(spec, Mapping) else None) or {}
    return [
        _settings(container, field=key)
        for key in ("containers", "initContainers")
        for container in spec.get(key) or ()
        if isinstance(container, Mapping)
    ]


def _settings(container: ForeignObject, *, field: str) -> ContainerSettings:
    resources = container.get("resources") or {}
    return ContainerSettings(
        name=str(container.get("name")),
        limit_bytes=parse_quantity((resources.get("limits") or {}).get("memory")),
        request_bytes=parse_quantity((resources.get("requests") or {}).get("memory")),
        heap_follows=_heap_follows(container),
        field=field,
    )


def nested(path: Sequence[str], value: Any) -> JsonDocument:
    """Return `value` under a path of keys."""
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _heap_follows(container: ForeignObject) -> str | None:
    for where, text in _texts(container):
        if match := _FOLLOWS.search(text):
            return f"{match[0]} in {where}"
    for variable in container.get("env") or ():
        source = ((variable.get("valueFrom") or {}).get("resourceFieldRef") or {}).get("resource")
        if variable.get("name") in _FOLLOWING_VARIABLES or source == "limits.memory":
            return f"the variable {variable.get('name')}"
    return None


def _texts(container: ForeignObject) -> Iterator[tuple[str, str]]:
    for key in ("command", "args"):
        words: Sequence[Any] = container.get(key) or ()
        yield key, " ".join(map(str, words))
    for variable in container.get("env") or ():
        yield f"the variable {variable.get('name')}", str(variable.get("value") or "")


def parse_quantity(text: object) -> int | None:
    """Parse a Kubernetes quantity of memory into bytes; None for anything else."""
    match = _QUANTITY.fullmatch(str(text)) if text is not None else None
    if match is None:
        return None
    whole, fraction, unit = match[1], match[2] or "", match[3] or ""
    number = int(whole + fraction)
    if unit == "m":
        return -(-number // int(f"1000{'0' * len(fraction)}"))
    return number * _SCALES[unit] // int(f"1{'0' * len(fraction)}")


def quantity(size_bytes: int) -> str:
    """Format bytes as a Kubernetes quantity, without loss."""
    for unit in ("Gi", "Mi", "Ki"):
        if size_bytes and size_bytes % _SCALES[unit] == 0:
            return f"{size_bytes // _SCALES[unit]}{unit}"
    return str(size_bytes)
