"""Read the rollouts that kills began with: ReplicaSets, ControllerRevisions, and the limits that they set."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.times import parse_time
from oomkeeper.reporting.kill_streak import KilledPod, Rollout, Streak, streak_of, streak_sentence
from oomkeeper.reporting.workload_template import parse_quantity
from oomkeeper.resources.oomincident import OOMIncident

from .cluster import list_if_allowed

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "controller-revision-hash"
_MAX_REVISION_DIGITS = 18

Object = dict[str, Any]


class _Resources(msgspec.Struct, frozen=True):
    limits: dict[str, str | int | float] = {}


class _Container(msgspec.Struct, frozen=True):
    name: str
    resources: _Resources = _Resources()


class _PodSpec(msgspec.Struct, frozen=True):
    containers: list[_Container] = []
    initContainers: list[_Container] = []


class _Template(msgspec.Struct, frozen=True):
    spec: _PodSpec


class _Spec(msgspec.Struct, frozen=True):
    template: _Template


class _Owner(msgspec.Struct, frozen=True):
    """What a ReplicaSet has, and a ControllerRevision as data."""

    spec: _Spec


class RolloutReader:
    """Reads each list once. What is gone or may not be read leaves out what it would have shown."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._lists: dict[str, list[Object]] = {}

    def beginning(self, incidents: Sequence[OOMIncident], *, now: float) -> str | None:
        """Return how the kills of incidents of one workload began; None where nothing marks it. Raises
        ApiError for a lost connection."""
        streak = streak_of(incidents, now=now)
        return None if streak is None else streak_sentence(streak, self._rollout(streak, incidents[0]))

    def _rollout(self, streak: Streak, incident: OOMIncident) -> Rollout | None:
        workload, space = incident.spec.workload, incident.metadata.namespace
        if workload is None or not space:
            return None
        root = f"/apis/apps/v1/namespaces/{quote(space, safe='')}"
        if workload.kind == "Deployment":
            name, kind = streak.replica_set, "ReplicaSet"
        elif workload.kind in ("StatefulSet", "DaemonSet"):
            name, kind = self._revision_name(streak.pods, incident, space=space), "ControllerRevision"
        else:
            return None
        if not name:
            return None
        path = f"{root}/{kind.lower()}s"
        obj = self._get(f"{path}/{quote(name, safe='')}") or {}
        owner = _owner(obj, kind=workload.kind, name=workload.name)
        created = parse_time(_part(obj, "metadata").get("creationTimestamp"))
        if owner is None or created is None:
            return None
        number = _number(obj)
        return Rollout(
            revision="" if number is None else str(number),
            created=created,
            place=f"{kind} {name}",
            limits=_limits(obj),
            earlier_limits={} if number is None else self._earlier_limits(path, owner=owner, before=number),
        )

    def _earlier_limits(self, path: str, *, owner: str, before: int) -> dict[str, int | None]:
        """Return the limits of the revision before this number. A rollback gives an old object a new number,
        so the object with the number before was in force until this one."""
        if not owner:
            return {}
        if path not in self._lists:
            self._lists[path] = list_if_allowed(self._client, path) or []
        found = [
            one
            for one in self._lists[path]
            if _number(one) == before - 1 and any(ref.get("uid") == owner for ref in _owners(one))
        ]
        return _limits(found[0]) if len(found) == 1 else {}

    def _revision_name(self, pods: Sequence[KilledPod], incident: OOMIncident, *, space: str) -> str | None:
        """Return the ControllerRevision of the pods, from their label, while they all exist."""
        workload = incident.spec.workload
        names = set()
        for pod in pods:
            obj = self._get(f"/api/v1/namespaces/{quote(space, safe='')}/pods/{quote(pod.name, safe='')}")
            metadata = _part(obj or {}, "metadata")
            if pod.uid is None or metadata.get("uid") != pod.uid:
                return None
            names.add(_part(metadata, "labels").get(_HASH))
        label = names.pop() if len(names) == 1 else None
        if workload is None or not isinstance(label, str):
            return None
        # The label of a StatefulSet's pod is the name, that of a DaemonSet's its last part.
        return label if workload.kind == "StatefulSet" else f"{workload.name}-{label}"

    def _get(self, path: str) -> Object | None:
        try:
            return self._client.get(path)
        except ApiError as error:
            if error.status is None:
                raise
            return None


def _part(obj: Object, key: str) -> Object:
    found = obj.get(key)
    return found if isinstance(found, dict) else {}


def _owners(obj: Object) -> list[Object]:
    found = _part(obj, "metadata").get("ownerReferences")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _owner(obj: Object, *, kind: str, name: str) -> str | None:
    """Return the uid of the owner of this kind and name, empty where it has none; None without such an
    owner."""
    for owner in _owners(obj):
        if (owner.get("kind"), owner.get("name")) == (kind, name):
            return str(owner.get("uid") or "")
    return None


def _number(obj: Object) -> int | None:
    """Return the revision of a ReplicaSet or ControllerRevision."""
    text = str(obj.get("revision") or _part(_part(obj, "metadata"), "annotations").get(_REVISION) or "")
    return int(text) if text.isdecimal() and len(text) <= _MAX_REVISION_DIGITS else None


def _limits(obj: Object) -> dict[str, int | None]:
    """Return container -> memory limit of the pod template of a ReplicaSet or ControllerRevision. The data of
    a ControllerRevision may be anything."""
    try:
        template = msgspec.convert(obj.get("data") or obj, type=_Owner).spec.template.spec
    except msgspec.ValidationError:
        return {}
    containers = (*template.containers, *template.initContainers)
    return {one.name: parse_quantity(one.resources.limits.get("memory")) for one in containers}
