"""The one task that decides and writes.

Level-triggered: each run computes what every object should say from the whole state and writes those that
differ. So a missed event, a failed write or a restart in the middle costs time and nothing else. Changes are
coalesced (pace.py).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from . import oomnodes, podevents
from .apiclient import APIClient, APIError
from .kinds import INCIDENT, NODE, OOM_NODE, POLICY, REPORT, Kind, key_of
from .pace import Bell, Retries, rest_seconds
from .records import Node, NodeState, Policy, Report
from .reports import next_refresh, report_status
from .resolution import Resolution, resolve
from .resync import RESYNC_SECONDS, resync
from .state import ClusterState
from .summaries import Silence, policy_statuses

_log = logging.getLogger(__name__)

TTL_SECONDS = 7 * 24 * 3600.0
"""How long an incident stays after its last kill."""

_IDLE_SECONDS = 15.0
"""Longest pause between two runs: windows slide, and agents fall silent, without any event."""
_SWEEP_SECONDS = 600.0
_COALESCE_KILLS_SECONDS = 1.0
_PARALLEL = 16


class Reconciler:
    """Holds the state, and brings the API server in line with it."""

    def __init__(
        self, *, api: APIClient, state: ClusterState, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._state = state
        self._clock = clock
        self._bell = Bell()
        self._retries = Retries()
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._resolution: Resolution | None = None
        self._silence = Silence()
        self._told: dict[str, int] = {}
        """Incident's uid -> count that its Event says."""
        self._written: dict[str, tuple[Mapping[str, Any], int]] = {}
        """Object -> the last status written, and the resourceVersion that came of it."""
        self._kills = 0
        """Counts changes of incidents; a report remembers which it has seen."""
        self._reported: dict[str, tuple[int, float]] = {}
        self._resync_due = 0.0
        self._sweep_due = 0.0
        self._alive = clock()
        """When a run last ended."""

    def idle_seconds(self) -> float:
        """Since when no run has ended, for the health endpoint."""
        return self._clock() - self._alive

    def seen(self, kind: Kind, event: Mapping[str, Any]) -> None:
        """A watch event. Never raises, never waits."""
        obj = event["object"]
        if event["type"] == "DELETED":
            changed = self._state.forget(kind, key=key_of(obj), uid=obj["metadata"]["uid"])
        else:
            changed = self._state.observe(kind, obj)
        if changed:
            self._changed(kind)

    def _changed(self, kind: Kind) -> None:
        if kind in (POLICY, NODE, OOM_NODE):  # an OOMNode may bring a boot id
            self._resolution = None
        if kind is INCIDENT:
            self._kills += 1
        self._bell.ring()

    async def listed(self) -> None:
        """Wait until the whole cluster has been listed once: nothing is decided on a part of it."""
        delay = 0.5
        while True:
            try:
                await resync(self._api, self._state)
            except APIError as error:
                _log.warning("event=waiting_for_api error=%s retry_seconds=%.1f", error, delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 30.0)
            else:
                break
        self._resync_due = self._clock() + RESYNC_SECONDS
        self._resolution = None
        self._bell.ring()
        _log.info(
            "event=listed policies=%d nodes=%d oomnodes=%d incidents=%d reports=%d",
            len(self._state.policies),
            len(self._state.nodes),
            len(self._state.node_states),
            len(self._state.incidents),
            len(self._state.reports),
        )

    async def run(self) -> None:
        """Reconcile for ever."""
        while True:
            await self._bell.wait(at_most=self._pause())
            self._bell.silence()
            spent = await self._once()
            self._alive = self._clock()
            await asyncio.sleep(rest_seconds(spent=spent))

    def _pause(self) -> float:
        now = self._clock()
        due = [now + _IDLE_SECONDS, self._retries.next(), self._resync_due]
        due += [self._report_due(report) for report in self._state.reports.values()]
        return min(due) - now

    async def _once(self) -> float:
        """One run. Gives the seconds that went into computing."""
        now = self._clock()
        if now >= self._resync_due:
            await self._resync(now)
        started = time.perf_counter()
        if self._resolution is None:
            self._resolution = resolve(
                policies=self._state.policies.values(),
                nodes=self._state.nodes.values(),
                boot_ids=boot_ids(self._state.nodes, self._state.node_states),
            )
        resolution = self._resolution
        plan = oomnodes.plan(
            nodes=self._state.nodes, states=self._state.node_states, desired=resolution.desired
        )
        statuses = policy_statuses(self._state, resolution=resolution, silence=self._silence, now=now)
        due = [report for report in self._state.reports.values() if self._report_due(report) <= now]
        spent = time.perf_counter() - started
        await asyncio.gather(
            *(
                self._apply_node(self._state.nodes[name], resolution=resolution, now=now)
                for name in plan.apply
            ),
            *(self._delete_node(state, now=now) for state in plan.delete),
            *(self._write_status(POLICY, policy, status, now=now) for policy, status in statuses),
            *(self._report(report, now=now) for report in due),
            *self._events(now),
        )
        self._retries.drop_stale(now=now)
        if now >= self._sweep_due:
            self._sweep_due = now + _SWEEP_SECONDS
            await self._sweep(now)
        return spent

    async def _resync(self, now: float) -> None:
        self._resync_due = now + RESYNC_SECONDS
        try:
            if await resync(self._api, self._state):
                self._resolution = None
                self._kills += 1
        except APIError as error:
            _log.warning("event=resync_failed error=%s", error)

    async def _try(self, key: str, write: Callable[[], Awaitable[None]], *, now: float) -> None:
        """One write with its back-off. A failure is logged and tried again for ever: the next run wants it
        again."""
        if not self._retries.may(key, now=now):
            return
        try:
            async with self._slots:
                await write()
        except APIError as error:
            self._retries.failed(key, now=now)
            _log.warning("event=write_failed object=%s error=%s", key, error)
        else:
            self._retries.succeeded(key)

    async def _apply_node(self, node: Node, *, resolution: Resolution, now: float) -> None:
        sysctls = resolution.desired[node.name]

        async def write() -> None:
            path = f"{OOM_NODE.root}/{node.name}"
            answer = await self._api.apply(path, oomnodes.manifest(node=node, sysctls=sysctls))
            # Apply leaves what another manager put there; nothing but policies may tell an agent what to set.
            if not oomnodes.says(answer, sysctls=sysctls):
                answer = await self._api.merge(path, oomnodes.replacement(sysctls))
            if self._state.observe(OOM_NODE, answer):
                self._bell.ring()

        await self._try(f"OOMNode/{node.name}", write, now=now)

    async def _delete_node(self, state: NodeState, *, now: float) -> None:
        async def write() -> None:
            node = self._state.nodes.get(state.name)
            if node is None and await self._api.get(f"{NODE.root}/{state.name}") is not None:
                return  # the watch of Nodes is behind
            await self._api.delete(f"{OOM_NODE.root}/{state.name}", uid=state.uid)
            self._state.forget(OOM_NODE, key=state.name, uid=state.uid)

        await self._try(f"OOMNode/{state.name}", write, now=now)

    async def _write_status(
        self,
        kind: Kind,
        record: Policy | Report,
        status: Mapping[str, Any],
        *,
        now: float,
    ) -> None:
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

        await self._try(key, write, now=now)

    def _report_due(self, report: Report) -> float:
        """When to refresh it: on its interval, when its spec changes, and about a second after a kill."""
        seen, at = self._reported.get(report.uid, (-1, 0.0))
        soon = at + _COALESCE_KILLS_SECONDS if seen != self._kills else float("inf")
        return max(min(next_refresh(report), soon), at + _COALESCE_KILLS_SECONDS)

    async def _report(self, report: Report, *, now: float) -> None:
        self._reported[report.uid] = (self._kills, now)
        status = report_status(
            report,
            incidents=self._state.incidents.values(),
            nodes=self._state.nodes,
            states=self._state.node_states,
            namespaces=self._state.namespaces,
            now=now,
        )
        await self._write_status(REPORT, report, status, now=now)

    def _events(self, now: float) -> list[Awaitable[None]]:
        known = {incident.uid for incident in self._state.incidents.values()}
        self._told = {uid: count for uid, count in self._told.items() if uid in known}
        return [
            self._tell(key, now=now)
            for key, incident in self._state.incidents.items()
            if podevents.is_due(incident, told=self._told.get(incident.uid), now=now)
        ]

    async def _tell(self, key: str, *, now: float) -> None:
        incident = self._state.incidents[key]

        async def write() -> None:
            event = podevents.event_of(incident, node=self._state.nodes.get(incident.node))
            metadata = event["metadata"]
            await self._api.apply(
                f"/api/v1/namespaces/{metadata['namespace']}/events/{metadata['name']}", event
            )
            self._told[incident.uid] = incident.count

        await self._try(f"Event/{key}", write, now=now)

    async def _sweep(self, now: float) -> None:
        """Delete incidents whose last kill is older than the TTL; one that counts up meanwhile stays."""
        for key, incident in list(self._state.incidents.items()):
            if incident.last_seen is not None and incident.last_seen < now - TTL_SECONDS:
                await self._try(
                    f"OOMIncident/{key}",
                    lambda incident=incident: self._api.delete(  # type: ignore[misc]
                        f"/apis/{INCIDENT.api_version}/namespaces/{incident.namespace}/{INCIDENT.plural}/{incident.name}",
                        uid=incident.uid,
                        version=incident.version,
                    ),
                    now=now,
                )


def boot_ids(nodes: Mapping[str, Node], states: Mapping[str, NodeState]) -> dict[str, str]:
    """Node -> the id of its kernel. The agent's word before kubelet's, which dates from kubelet's start."""
    found = {}
    for name, node in nodes.items():
        state = states.get(name)
        boot_id = (state.boot_id if state else None) or node.boot_id
        if boot_id:
            found[name] = boot_id
    return found
