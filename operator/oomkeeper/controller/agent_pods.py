"""The agents' pods, followed by list and watch: whether each node has an agent, and whether it is ready.

kopf can neither watch one namespace of a cluster-wide operator nor pass a label selector to the API server,
and all pods of a large cluster are too many (docs/decisions/108). So these few are followed here, with the
rules of client-go's reflector: continue at the last resourceVersion, list again only when that has expired.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.record import MalformedObjectError, Record, read

from .apiclient import APIClient, APIError

_log = get_logger(__name__)

WATCH_SECONDS = 290


class AgentPod(NamedTuple):
    """One pod of the agents' DaemonSet."""

    name: str
    node: str
    ready: bool
    problem: str
    """Why it is not ready, from its status; may be empty."""


class _Waiting(Record, frozen=True, kw_only=True):
    reason: str = ""


class _ContainerState(Record, frozen=True, kw_only=True):
    waiting: _Waiting | None = None


class _ContainerStatus(Record, frozen=True, kw_only=True):
    state: _ContainerState = _ContainerState()


class _PodCondition(Record, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str = ""


class _PodStatus(Record, frozen=True, kw_only=True):
    """core/v1 PodStatus, in part."""

    reason: str = ""
    conditions: tuple[_PodCondition, ...] = ()
    container_statuses: tuple[_ContainerStatus, ...] = ()


class _PodSpec(Record, frozen=True, kw_only=True):
    node_name: str = ""


class _Pod(Record, frozen=True, kw_only=True):
    """core/v1 Pod, in part."""

    metadata: ObjectMeta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class AgentPods:
    """The present pods by node. Nothing is known before the first list."""

    def __init__(
        self, *, api: APIClient, namespace: str, selector: str, changed: Callable[[str], None]
    ) -> None:
        """`selector`: label selector of the agents' pods; `changed` is called with a node's name."""
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._query = {"labelSelector": selector}
        self._changed = changed
        self._pods: dict[str, AgentPod] = {}
        """By name."""
        self._by_node: dict[str, dict[str, AgentPod]] = {}
        self.listed = False
        """Whether the pods are known."""

    def on_node(self, node: str) -> Iterable[AgentPod]:
        """Return the pods on a node; those that are being deleted are left out."""
        return self._by_node.get(node, {}).values()

    async def follow(self) -> None:
        """Follow the pods without end."""
        backoff = Backoff()
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list()
                version = await self._watch(version)
                backoff.succeeded()
            except APIError as error:
                if error.status == HTTPStatus.GONE:
                    version = None
                delay = backoff.failed(retry_after_seconds=error.retry_after_seconds)
                _log.warning("agents' pods not followed", error=error, retry_seconds=delay)
                await asyncio.sleep(delay)

    async def _list(self) -> str:
        """List the pods; return the resourceVersion to watch from. Raises APIError."""
        found: set[str] = set()
        version = ""
        async for page in self._api.pages(self._path, query=self._query):
            found.update(map(self._store, page.get("items") or ()))
            version = str((page.get("metadata") or {}).get("resourceVersion", ""))
        for name in self._pods.keys() - found:
            self._remove(name)
        self.listed = True
        return version

    async def _watch(self, version: str) -> str:
        """Watch until the server ends the watch; return the last resourceVersion. Raises APIError."""
        query = {
            **self._query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async for event in self._api.watch(self._path, query=query):
            obj = event.get("object") or {}
            if event.get("type") == "ERROR":
                raise APIError(
                    status=int(obj.get("code") or 0),
                    what=f"watch {self._path}",
                    message=str(obj.get("message")),
                )
            version = (obj.get("metadata") or {}).get("resourceVersion") or version
            if event.get("type") == "DELETED":
                self._remove(str(obj["metadata"]["name"]))
            elif event.get("type") in ("ADDED", "MODIFIED"):
                self._store(obj)
        return version

    def _store(self, obj: Mapping[str, Any]) -> str:
        try:
            pod = read(_Pod, obj)
        except MalformedObjectError as error:
            name = str((obj.get("metadata") or {}).get("name"))
            _log.warning("malformed object", kind="Pod", object=name, error=error)
            return name
        name = pod.metadata.name or ""
        if pod.metadata.deletion_timestamp is not None or not pod.spec.node_name:
            self._remove(name)
            return name
        known, found = self._pods.get(name), _agent_pod(pod)
        if known != found:
            self._remove(name)
            self._pods[name] = found
            self._by_node.setdefault(found.node, {})[name] = found
            self._changed(found.node)
        return name

    def _remove(self, name: str) -> None:
        pod = self._pods.pop(name, None)
        if pod is not None:
            of_node = self._by_node[pod.node]
            del of_node[name]
            if not of_node:
                del self._by_node[pod.node]
            self._changed(pod.node)


def _agent_pod(pod: _Pod) -> AgentPod:
    ready = next((one for one in pod.status.conditions if one.type == "Ready"), None)
    waiting = [one.state.waiting.reason for one in pod.status.container_statuses if one.state.waiting]
    return AgentPod(
        name=pod.metadata.name or "",
        node=pod.spec.node_name,
        ready=ready is not None and ready.status == "True",
        problem=next(filter(None, (pod.status.reason, *waiting, ready.reason if ready else "")), ""),
    )
