"""Every write that the controller makes, one method each.

A failed write is logged and tried again for ever, ever more rarely (pace.Retries): the next run of the
reconciler wants it again. Answers of the API server go into the state at once, so that no run repeats what an
earlier one wrote.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from oomkeeper.logformat import get_logger
from oomkeeper.reporting.incident import Incident

from . import oomnodes, podevents
from .apiclient import APIClient, APIError
from .kinds import INCIDENT, NODE, OOM_NODE, Kind
from .records import DesiredSysctl, Node, NodeState, Policy, Report
from .retry import Retries
from .state import ClusterState

_log = get_logger(__name__)

_PARALLEL = 16


class Writer:
    """Writes objects, compares before, remembers what was written."""

    def __init__(
        self,
        *,
        api: APIClient,
        state: ClusterState,
        changed: Callable[[Kind], None],
        doubted: Callable[[Kind], None],
    ) -> None:
        """`changed`: an answer brought news of a kind; `doubted`: an object of a kind was not where it
        should be."""
        self._api = api
        self._state = state
        self._changed = changed
        self._doubted = doubted
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._told: dict[str, int] = {}
        """Incident's uid -> count that its Event says."""
        self._written: dict[str, tuple[Mapping[str, Any], int]] = {}
        """Object -> what was last written to it, and the resourceVersion that came of it."""
        self.retries = Retries()

    async def node(
        self,
        node: Node,
        sysctls: tuple[DesiredSysctl, ...],
        *,
        adjustments: oomnodes.Adjustments,
        host_kills: bool,
        now: float,
    ) -> None:
        """Apply an OOMNode's spec."""
        key = f"OOMNode/{node.name}"
        wanted = oomnodes.manifest(node=node, sysctls=sysctls, adjustments=adjustments, host_kills=host_kills)

        def says(obj: Mapping[str, Any]) -> bool:
            return oomnodes.says(obj, sysctls=sysctls, adjustments=adjustments, host_kills=host_kills)

        known = self._state.node_states.get(node.name)
        if known is not None and self._written.get(key) == (wanted, known.version):
            return  # written, and the API server keeps something else: its schema is of another version

        async def write() -> None:
            path = f"{OOM_NODE.root}/{node.name}"
            answer = await self._api.apply(path, wanted)
            # Apply leaves what another manager put there; nothing but policies may tell an agent what to set.
            if not says(answer):
                patch = oomnodes.replacement(sysctls, adjustments=adjustments, host_kills=host_kills)
                answer = await self._api.merge(path, patch)
            if not says(answer):
                _log.warning("write not kept by the API server", object=key)
            self._written[key] = (wanted, int(answer["metadata"]["resourceVersion"]))
            if self._state.observe(OOM_NODE, answer):
                self._changed(OOM_NODE)

        await self._try(key, write, now=now)

    async def no_node(self, state: NodeState, *, now: float) -> None:
        """Delete an OOMNode whose Node is gone, or no Linux node."""

        async def write() -> None:
            known = state.name in self._state.nodes
            if not known and await self._api.get(f"{NODE.root}/{state.name}") is not None:
                self._doubted(NODE)
                return
            await self._api.delete(f"{OOM_NODE.root}/{state.name}", uid=state.uid)
            self._state.forget(OOM_NODE, key=state.name, uid=state.uid)

        await self._try(f"OOMNode/{state.name}", write, now=now)

    async def status(
        self, kind: Kind, record: Policy | Report, status: Mapping[str, Any], *, now: float
    ) -> None:
        """Apply a policy's or report's status, if it differs."""
        key = f"{kind.name}/{record.name}"
        # The second: a schema that drops a field would otherwise be written to for ever.
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
            self._state.observe(kind, answer)
            self._written[key] = (status, int(answer["metadata"]["resourceVersion"]))

        await self._try(key, write, now=now, kind=kind)

    def untold(self, *, now: float) -> list[Incident]:
        """Fresh incidents whose Event does not say their count."""
        incidents = self._state.incidents.values()
        known = {incident.uid for incident in incidents}
        self._told = {uid: count for uid, count in self._told.items() if uid in known}
        return [
            incident
            for incident in incidents
            if podevents.is_due(incident, told=self._told.get(incident.uid), now=now)
        ]

    async def event(self, incident: Incident, *, now: float) -> None:
        """Apply the Event of an incident."""

        async def write() -> None:
            event = podevents.event_of(incident, node=self._state.nodes.get(incident.node))
            metadata = event["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/events/{metadata['name']}"
            await self._api.apply(path, event)
            self._told[incident.uid] = incident.count

        await self._try(f"Event/{incident.namespace}/{incident.name}", write, now=now)

    async def no_incident(self, incident: Incident, *, now: float) -> None:
        """Delete an incident, unless it has counted up meanwhile."""

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
            self.retries.failed(key, now=now)
            if kind is not None and error.status == HTTPStatus.NOT_FOUND:
                self._doubted(kind)
            _log.warning("write failed", object=key, error=error)
        else:
            self.retries.succeeded(key)
