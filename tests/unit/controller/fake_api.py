"""An API server in memory, for the reconciler: apply, resourceVersions, watches."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.kinds import KINDS, Kind

Json = dict[str, Any]


class Request(NamedTuple):
    """A request that the controller made."""

    at: float
    method: str
    path: str
    body: Mapping[str, Any]


class FakeApi:
    """Objects by path. Every request takes `latency_seconds`; `refuse` makes requests fail."""

    def __init__(self, *, clock: Callable[[], float], latency_seconds: float = 0.01) -> None:
        self._clock = clock
        self.latency_seconds = latency_seconds
        self.objects: dict[str, Json] = {}
        self.requests: list[Request] = []
        self.refuse: Callable[[str, str], APIError | None] = lambda _method, _path: None
        self.send: Callable[[Kind, Mapping[str, Any]], None] = lambda _kind, _event: None
        """Where watch events go, immediately."""
        self._version = 0
        self._pods: dict[str, Json] = {}
        self._pod_watches: list[asyncio.Queue[Json]] = []

    # What others do.

    def put(self, kind: Kind, name: str, *, namespace: str | None = None, **parts: Any) -> None:
        """Create or change an object: its labels, spec or status."""
        path = kind.path(name=name, namespace=namespace) if namespace else f"{kind.root}/{name}"
        obj = copy.deepcopy(self.objects.get(path)) or self._new(kind, name, namespace)
        labels = parts.pop("labels", None)
        if labels is not None:
            obj["metadata"]["labels"] = labels
        if "spec" in parts and parts["spec"] != obj.get("spec"):
            obj["metadata"]["generation"] += 1
        obj |= parts
        self._store(path, obj)

    def remove(self, kind: Kind, name: str, *, namespace: str | None = None) -> None:
        """Delete an object."""
        path = kind.path(name=name, namespace=namespace) if namespace else f"{kind.root}/{name}"
        self._delete(path)

    def writes(self, part: str = "") -> list[Request]:
        """Return the requests that change something and whose path holds `part`."""
        return [one for one in self.requests if one.method != "GET" and part in one.path]

    def set_pod(self, pod: Json) -> None:
        """Create or change a pod of the operator's namespace."""
        name = pod["metadata"]["name"]
        self._pods[name] = pod
        for events in self._pod_watches:
            events.put_nowait({"type": "MODIFIED", "object": pod})

    # What the controller does: the interface of APIClient.

    async def pages(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        await self._begin("GET", path, query)
        yield {"items": list(self._pods.values()), "metadata": {"resourceVersion": "1"}}

    async def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        await self._begin("GET", path, query)
        events: asyncio.Queue[Json] = asyncio.Queue()
        self._pod_watches.append(events)
        while True:
            yield await events.get()

    async def list(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
        await self._begin("GET", path, {})
        plural = path.rsplit("/", 1)[1]
        prefix = path.removesuffix(plural)
        for found, obj in sorted(self.objects.items()):
            if found.startswith(prefix) and f"/{plural}/" in found:
                yield copy.deepcopy(obj)

    async def get(self, path: str) -> Mapping[str, Any] | None:
        await self._begin("GET", path, {})
        return copy.deepcopy(self.objects.get(path))

    async def apply(self, path: str, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._begin("PATCH", path, obj)
        if path.endswith("/status"):
            path = path.removesuffix("/status")
            if path not in self.objects:
                raise APIError(status=HTTPStatus.NOT_FOUND, what=path, message="not found")
            changed = copy.deepcopy(self.objects[path]) | {"status": copy.deepcopy(obj["status"])}
        else:
            known = copy.deepcopy(self.objects.get(path))
            changed = known or {"metadata": {"uid": f"uid-{self._version}", "generation": 0}}
            if changed.get("spec") != obj.get("spec"):
                changed["metadata"]["generation"] += 1
            metadata = changed["metadata"] | copy.deepcopy(dict(obj["metadata"]))
            changed = changed | copy.deepcopy(dict(obj)) | {"metadata": metadata}
        if changed != self.objects.get(path):
            self._store(path, changed)
        return copy.deepcopy(self.objects[path])

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._begin("PATCH", path, patch)
        changed = copy.deepcopy(self.objects[path])
        changed["spec"] = {key: value for key, value in patch["spec"].items() if value is not None}
        self._store(path, changed)
        return copy.deepcopy(self.objects[path])

    async def delete(self, path: str, *, uid: str, version: int | None = None) -> bool:
        await self._begin("DELETE", path, {})
        found = self.objects.get(path)
        if found is None or found["metadata"]["uid"] != uid:
            return False
        if version is not None and found["metadata"]["resourceVersion"] != str(version):
            return False
        self._delete(path)
        return True

    async def _begin(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        self.requests.append(Request(self._clock(), method, path, body))
        await asyncio.sleep(self.latency_seconds)
        error = self.refuse(method, path)
        if error is not None:
            raise error

    def _new(self, kind: Kind, name: str, namespace: str | None) -> Json:
        self._version += 1
        metadata: Json = {"name": name, "uid": f"uid-{name}-{self._version}", "generation": 0}
        if namespace:
            metadata["namespace"] = namespace
        return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}

    def _store(self, path: str, obj: Json) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self.objects[path] = obj
        self._notify(kind, obj)

    def _delete(self, path: str) -> None:
        self._notify("DELETED", self.objects.pop(path))

    def _notify(self, event: str, obj: Json) -> None:
        for kind in KINDS:
            if kind.name == obj["kind"] and kind.api_version == obj["apiVersion"]:
                self.send(kind, {"type": event, "object": copy.deepcopy(obj)})
