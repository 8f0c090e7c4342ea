"""Every write of the controller, one method each.

A failed write is logged and retried without end, with back-off: the next run of the reconciler
wants it again. Answers of the API server go into the cache immediately, so that no run repeats an earlier
write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from oomkeeper.connection.retry import KeyedBackoff
from oomkeeper.logformat import get_logger
from oomkeeper.reporting.incident import Incident

from . import oomnode_spec, pod_events
from .apiclient import APIClient, APIError
from .cache import ClusterCache
from .kinds import INCIDENT, NODE, OOM_NODE, Kind
from .objects import DesiredSysctl, Node, OOMNodeState, Policy, Report

_log = get_logger(__name__)

_PARALLEL = 16
_LONGEST_RETRY_SECONDS = 64.0


class Writer:
    """Writes objects that differ, and remembers what was written."""

    def __init__(
        self,
        *,
        api: APIClient,
        cache: ClusterCache,
        changed: Callable[[Kind], None],
        suspect_stale: Callable[[Kind], None],
    ) -> None:
        """`changed`: an answer changed the cache of a kind; `suspect_stale`: an answer contradicts the cache
        of a kind."""
        self._api = api
        self._cache = cache
        self._changed = changed
        self._suspect_stale = suspect_stale
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._published_counts: dict[str, int] = {}
        """Incident's uid -> count in its Event."""
        self._written: dict[str, tuple[Mapping[str, Any], int]] = {}
        """Object -> its last written content, and the resourceVersion of the answer."""
        self.retries = KeyedBackoff(longest_seconds=_LONGEST_RETRY_SECONDS)

    async def apply_oomnode(
        self,
        node: Node,
        sysctls: tuple[DesiredSysctl, ...],
        *,
        adjustments: oomnode_spec.Adjustments,
        host_kills: bool,
        now: float,
    ) -> None:
        """Apply an OOMNode's spec."""
        key = f"OOMNode/{node.name}"
        wanted = oomnode_spec.manifest(
            node=node, sysctls=sysctls, adjustments=adjustments, host_kills=host_kills
        )

        def matches(obj: Mapping[str, Any]) -> bool:
            return oomnode_spec.spec_matches(
                obj, sysctls=sysctls, adjustments=adjustments, host_kills=host_kills
            )

        known = self._cache.oomnodes.get(node.name)
        if known is not None and self._written.get(key) == (wanted, known.version):
            return  # The API server stored something else: its schema has another version.

        async def write() -> None:
            path = f"{OOM_NODE.root}/{node.name}"
            answer = await self._api.apply(path, wanted)
            # Apply leaves the fields of other managers, but only policies may tell an agent what to set.
            if not matches(answer):
                patch = oomnode_spec.replacement(sysctls, adjustments=adjustments, host_kills=host_kills)
                answer = await self._api.merge(path, patch)
            if not matches(answer):
                _log.warning("write not kept by the API server", object=key)
            self._written[key] = (wanted, int(answer["metadata"]["resourceVersion"]))
            if self._cache.store(OOM_NODE, answer):
                self._changed(OOM_NODE)

        await self._try(key, write, now=now)

    async def delete_oomnode(self, state: OOMNodeState, *, now: float) -> None:
        """Delete an OOMNode whose Node was deleted or is no Linux node."""

        async def write() -> None:
            known = state.name in self._cache.nodes
            if not known and await self._api.get(f"{NODE.root}/{state.name}") is not None:
                self._suspect_stale(NODE)
                return
            await self._api.delete(f"{OOM_NODE.root}/{state.name}", uid=state.uid)
            self._cache.remove(OOM_NODE, key=state.name, uid=state.uid)

        await self._try(f"OOMNode/{state.name}", write, now=now)

    async def apply_status(
        self, kind: Kind, record: Policy | Report, status: Mapping[str, Any], *, now: float
    ) -> None:
        """Apply a policy's or report's status if it differs."""
        key = f"{kind.name}/{record.name}"
        # The second: the API server may drop a field that its schema does not have.
        if status == record.status or self._written.get(key) == (status, record.version):
            return

        async def write() -> None:
            answer = await self._api.apply(
                f"{kind.root}/{record.name}/status",
                {
                    "apiVersion": kind.api_version,
                    "kind": kind.name,
                    "metadata": {"name": record.name, "uid": record.uid},
                    "status": status,
                },
            )
            self._cache.store(kind, answer)
            self._written[key] = (status, int(answer["metadata"]["resourceVersion"]))

        await self._try(key, write, now=now, kind=kind)

    def pending_events(self, *, now: float) -> list[Incident]:
        """Return the incidents whose Event is out of date."""
        incidents = self._cache.incidents.values()
        known = {incident.uid for incident in incidents}
        self._published_counts = {uid: count for uid, count in self._published_counts.items() if uid in known}
        return [
            incident
            for incident in incidents
            if pod_events.is_due(incident, published=self._published_counts.get(incident.uid), now=now)
        ]

    async def apply_event(self, incident: Incident, *, now: float) -> None:
        """Apply the Event of an incident."""

        async def write() -> None:
            event = pod_events.event_of(incident, node=self._cache.nodes.get(incident.node))
            metadata = event["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/events/{metadata['name']}"
            await self._api.apply(path, event)
            self._published_counts[incident.uid] = incident.count

        await self._try(f"Event/{incident.namespace}/{incident.name}", write, now=now)

    async def delete_incident(self, incident: Incident, *, now: float) -> None:
        """Delete an incident, unless it has changed since it was read."""

        async def write() -> None:
            path = INCIDENT.path(name=incident.name, namespace=incident.namespace)
            await self._api.delete(path, uid=incident.uid, version=incident.version)

        await self._try(f"OOMIncident/{incident.namespace}/{incident.name}", write, now=now)

    async def _try(
        self,
        key: str,
        write: Callable[[], Awaitable[None]],
        *,
        now: float,
        kind: Kind | None = None,
    ) -> None:
        if not self.retries.may(key, now=now):
            return
        try:
            async with self._slots:
                await write()
        except APIError as error:
            self.retries.failed(key, now=now, retry_after_seconds=error.retry_after_seconds)
            if kind is not None and error.status == HTTPStatus.NOT_FOUND:
                self._suspect_stale(kind)
            _log.warning("write failed", object=key, error=error)
        else:
            self.retries.succeeded(key)
