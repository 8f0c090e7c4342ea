"""Every write of the controller, one method each. None of them waits: the queue writes (write_queue.py).

Answers of the API server go into the cache immediately, so that no run of the reconciler repeats a write.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from oomkeeper.logformat import get_logger
from oomkeeper.reporting.incident import Incident
from oomkeeper.resources.oomnode import OOMNodeSpec
from oomkeeper.resources.oompolicy import OOMPolicyStatus
from oomkeeper.resources.oomreport import OOMReportStatus
from oomkeeper.resources.record import to_document

from . import kill_events, oomnode_spec
from .apiclient import APIClient, APIError
from .cache import Change, ClusterCache
from .counts import ControllerCounts
from .event_objects import ClusterEvent, event_name, event_object
from .kill_events import KillEvent, Published
from .kinds import NODE, OOM_NODE, Kind
from .objects import KilledContainer, OOMNodeState, Policy, Report
from .panic_cordon import NodeCordon, manifest
from .write_queue import Lane, Write, WriteQueue

_log = get_logger(__name__)
_Bounded = TypeVar("_Bounded", bound=Incident | KilledContainer)

OBJECT_INTERVAL_SECONDS = 5.0
"""Shortest time between two writes of an OOMNode, or of the status of a policy or report."""
EVENT_INTERVAL_SECONDS = 60.0
"""Shortest time between two writes of one Event."""
_PARALLEL = 16
_Subject = tuple[str, str]
"""Uids of the incident and of the object that an Event is about."""


class Writer:
    """Submits objects that differ, and remembers what was written."""

    def __init__(
        self,
        *,
        api: APIClient,
        cache: ClusterCache,
        queue: WriteQueue,
        changed: Callable[[Kind, Change], None],
        suspect_stale: Callable[[Kind], None],
        counts: ControllerCounts | None = None,
    ) -> None:
        """`changed`: an answer changed the cache; `suspect_stale`: an answer contradicts the cache of a
        kind."""
        self._api = api
        self._cache = cache
        self._queue = queue
        self._changed = changed
        self._suspect_stale = suspect_stale
        self._counts = counts or ControllerCounts()
        self._node_lane = Lane(parallel=_PARALLEL)
        self._lane = Lane(parallel=_PARALLEL)
        self._published: dict[_Subject, Published] = {}
        """Subject -> what its Event holds."""
        self._written: dict[str, tuple[object, int]] = {}
        """Object -> its last written content, and the resourceVersion of the answer."""

    def oomnodes(self, plan: oomnode_spec.Plan) -> None:
        """Apply and delete OOMNodes. Earlier submissions that are not in the plan are withdrawn."""
        for name, spec in plan.apply.items():
            self._apply_oomnode(name, spec)
        for state in plan.delete:
            self._delete_oomnode(state)
        keep = {f"OOMNode/{name}" for name in plan.apply} | {f"OOMNode/{state.name}" for state in plan.delete}
        self._queue.withdraw_others("OOMNode/", keep=keep)

    def _apply_oomnode(self, name: str, spec: OOMNodeSpec) -> None:
        key = f"OOMNode/{name}"
        node = self._cache.nodes[name]
        content = (spec, node.uid)
        known = self._cache.oomnodes.get(name)
        if known is not None and self._written.get(key) == (content, known.version):
            return  # The API server stored something else: its schema has another version.

        async def run() -> None:
            path = f"{OOM_NODE.root}/{name}"
            answer = await self._api.apply(path, oomnode_spec.manifest(node=node, spec=spec))
            # Apply leaves the fields of other managers, but only policies may tell an agent what to set.
            if not oomnode_spec.spec_matches(answer, spec):
                answer = await self._api.merge(path, oomnode_spec.replacement(spec))
                if not oomnode_spec.spec_matches(answer, spec):
                    _log.warning("write not kept by the API server", object=key)
            self._written[key] = (content, int(answer["metadata"]["resourceVersion"]))
            if change := self._cache.store(OOM_NODE, answer):
                self._changed(OOM_NODE, change)

        self._submit_oomnode(key, content, run)

    def _delete_oomnode(self, state: OOMNodeState) -> None:
        """Delete an OOMNode whose Node was deleted or is no Linux node."""

        async def run() -> None:
            known = state.name in self._cache.nodes
            if not known and await self._api.get(f"{NODE.root}/{state.name}") is not None:
                self._suspect_stale(NODE)
                return
            await self._api.delete(f"{OOM_NODE.root}/{state.name}", uid=state.uid)
            self._cache.remove(OOM_NODE, key=state.name, uid=state.uid)

        self._submit_oomnode(f"OOMNode/{state.name}", ("delete", state.uid), run)

    def _submit_oomnode(self, key: str, content: object, run: Callable[[], Awaitable[None]]) -> None:
        self._queue.submit(
            key,
            Write(content=content, run=run, lane=self._node_lane, interval_seconds=OBJECT_INTERVAL_SECONDS),
        )

    def node_cordons(self, changes: Iterable[NodeCordon], *, now: float) -> None:
        """Cordon and uncordon Nodes. Earlier submissions that are not among these are withdrawn."""
        keep = set()
        for change in changes:
            keep.add(key := f"NodeCordon/{change.node.name}")
            self._queue.submit(
                key,
                Write(
                    content=(change.node.uid, change.unschedulable, change.note),
                    run=partial(self._cordon, change, now=now),
                    lane=self._lane,
                    interval_seconds=OBJECT_INTERVAL_SECONDS,
                ),
            )
        self._queue.withdraw_others("NodeCordon/", keep=keep)

    async def _cordon(self, cordon: NodeCordon, *, now: float) -> None:
        answer = await self._api.apply(f"{NODE.root}/{cordon.node.name}", manifest(cordon))
        if cordon.event is not None:
            self.cluster_event(cordon.event, now=now)
        if change := self._cache.store(NODE, answer):
            self._changed(NODE, change)

    def status(self, kind: Kind, record: Policy | Report, status: OOMPolicyStatus | OOMReportStatus) -> None:
        """Apply a policy's or report's status if it differs."""
        key = f"{kind.name}/{record.name}"
        # The second: the API server may drop a field that its schema does not have.
        if status == record.status or self._written.get(key) == (status, record.version):
            self._queue.withdraw(key)
            return

        async def run() -> None:
            try:
                answer = await self._api.apply(
                    f"{kind.root}/{record.name}/status",
                    {
                        "apiVersion": kind.api_version,
                        "kind": kind.name,
                        "metadata": {"name": record.name, "uid": record.uid},
                        "status": to_document(status),
                    },
                )
            except APIError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    self._suspect_stale(kind)
                raise
            self._written[key] = (status, int(answer["metadata"]["resourceVersion"]))
            if change := self._cache.store(kind, answer):
                self._changed(kind, change)

        self._queue.submit(
            key,
            Write(content=status, run=run, lane=self._lane, interval_seconds=OBJECT_INTERVAL_SECONDS),
        )

    def forget_others(self, kind: Kind, names: Iterable[str]) -> None:
        """Withdraw writes of policies or reports that are not among these."""
        self._queue.withdraw_others(f"{kind.name}/", keep={f"{kind.name}/{name}" for name in names})

    def events(self, *, now: float) -> None:
        """Apply the Events about kills that are out of date."""
        writes: dict[_Subject, str | None] = {}
        for incident in self._cache.corrected_incidents():
            writes |= self.events_of(incident, now=now)
        self._published = {subject: one for subject, one in self._published.items() if subject in writes}
        self._queue.withdraw_others("Event/", keep={key for key in writes.values() if key is not None})

    def events_of(self, incident: Incident, *, now: float) -> dict[_Subject, str | None]:
        """Apply the Events of one incident that are out of date. Return what its Events are about, each with
        the key of its write, None where it is up to date."""
        writes: dict[_Subject, str | None] = {}
        for event in kill_events.kill_events(incident, nodes=self._cache.nodes, now=now):
            due = kill_events.is_due(event, self._published.get(event.subject))
            writes[event.subject] = self._kill_event(event) if due else None
        return writes

    def _kill_event(self, event: KillEvent) -> str:
        key = f"Event/{event.namespace}/{event.name}"
        content = kill_events.published(event)

        async def run() -> None:
            path = f"/api/v1/namespaces/{event.namespace}/events/{event.name}"
            await self._api.apply(path, kill_events.event_object(event))
            self._published[event.subject] = content

        self._queue.submit(
            key,
            Write(
                content=(event.subject, content),
                run=run,
                lane=self._lane,
                interval_seconds=EVENT_INTERVAL_SECONDS,
            ),
        )
        return key

    def cluster_event(self, event: ClusterEvent, *, now: float) -> None:
        """Apply an Event about an OOMNode or OOMPolicy."""
        body = event_object(event, now=now)

        async def run() -> None:
            await self._api.apply(f"/api/v1/namespaces/default/events/{event_name(event)}", body)

        self._queue.submit(
            f"ClusterEvent/{event_name(event)}",
            Write(content=event, run=run, lane=self._lane, interval_seconds=EVENT_INTERVAL_SECONDS),
        )

    def delete_surplus(
        self, kind: Kind, objects: Iterable[_Bounded], *, reason: Callable[[_Bounded], str] | None = None
    ) -> None:
        """Delete objects of a kind, unless they have changed since they were read. `reason`: why, for the
        metric of deleted incidents."""
        keep = set()
        for one in objects:
            keep.add(self._delete(kind, one, reason=reason(one) if reason is not None else None))
        self._queue.withdraw_others(f"{kind.name}/", keep=keep)

    def _delete(self, kind: Kind, one: Incident | KilledContainer, *, reason: str | None) -> str:
        key = f"{kind.name}/{one.namespace}/{one.name}"

        async def run() -> None:
            path = kind.path(name=one.name, namespace=one.namespace)
            if await self._api.delete(path, uid=one.uid, version=one.version) and reason is not None:
                self._counts.deleted_incidents.add(reason)

        self._queue.submit(key, Write(content=(one.uid, one.version), run=run, lane=self._lane))
        return key
