"""The one task that decides.

Level-triggered: each run computes what every object should say from the whole state and has those written
that differ. So a missed event, a failed write or a restart in the middle costs time and nothing else. Changes
are coalesced (pace.py).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from oomkeeper.logformat import get_logger

from . import oomnodes
from .apiclient import APIClient, APIError
from .kinds import INCIDENT, KINDS, NODE, OOM_NODE, POLICY, REPORT, Kind, key_of
from .records import Node, NodeState, Report
from .reports import next_refresh, report_status
from .resolution import Resolution, resolve
from .resync import Schedule, resync
from .retry import Bell, rest_seconds
from .state import ClusterState
from .summaries import Silence, policy_statuses
from .writes import Writer

_log = get_logger(__name__)

TTL_SECONDS = 7 * 24 * 3600.0
"""How long an incident stays after its last kill."""

_IDLE_SECONDS = 15.0
"""Longest pause between two runs: windows slide, and agents fall silent, without any event."""
_SWEEP_SECONDS = 600.0
_COALESCE_KILLS_SECONDS = 1.0


class Reconciler:
    """Holds the state, and brings the API server in line with it."""

    def __init__(
        self, *, api: APIClient, state: ClusterState, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._state = state
        self._clock = clock
        self._bell = Bell()
        self._lists = Schedule()
        self._writer = Writer(api=api, state=state, changed=self._changed, doubted=self._doubted)
        self._resolution: Resolution | None = None
        self._witnesses: frozenset[str] = frozenset()
        self._silence = Silence()
        self._kills = 0
        """Counts changes of incidents; a report remembers which it has seen."""
        self._reported: dict[str, tuple[int, float]] = {}
        """Report's uid -> what it has seen, and when."""
        self._sweep_due = 0.0
        self._alive = clock()
        """When a run last ended."""

    def idle_seconds(self) -> float:
        """Since when no run has ended, for the health endpoint."""
        return self._clock() - self._alive

    def seen(self, kind: Kind, event: Mapping[str, Any]) -> None:
        """A watch event of kopf's; of type None while it is listing. Never waits."""
        obj = event["object"]
        if event["type"] is None:
            self._lists.relisting(kind, now=self._clock())
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

    def _doubted(self, kind: Kind) -> None:
        self._lists.doubted(kind, now=self._clock())
        self._bell.ring()

    async def listed(self) -> None:
        """Wait until the whole cluster has been listed once: nothing is decided on a part of it."""
        delay = 0.5
        while True:
            try:
                await resync(self._api, self._state)
            except APIError as error:
                _log.warning("first list failed", error=error, retry_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 30.0)
            else:
                break
        self._lists.listed(KINDS, now=self._clock())
        self._resolution = None
        self._bell.ring()
        _log.info(
            "cluster listed",
            policies=len(self._state.policies),
            nodes=len(self._state.nodes),
            oomnodes=len(self._state.node_states),
            incidents=len(self._state.incidents),
            reports=len(self._state.reports),
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
        due = [now + _IDLE_SECONDS, self._writer.retries.next(), self._lists.next()]
        due += [self._report_due(report) for report in self._state.reports.values()]
        return min(due) - now

    async def _once(self) -> float:
        """One run. Gives the seconds that went into computing."""
        now = self._clock()
        if kinds := self._lists.due(now=now):
            await self._resync(kinds, now=now)
        started = time.perf_counter()
        if self._resolution is None:
            kernels = boot_ids(self._state.nodes, self._state.node_states)
            self._resolution = resolve(
                policies=self._state.policies.values(), nodes=self._state.nodes.values(), boot_ids=kernels
            )
            self._witnesses = oomnodes.host_witnesses(self._resolution.desired, boot_ids=kernels)
        desired, adjustments = self._resolution.desired, self._resolution.adjustments
        witnesses = self._witnesses
        plan = oomnodes.plan(
            nodes=self._state.nodes,
            states=self._state.node_states,
            desired=desired,
            adjustments=adjustments,
            witnesses=witnesses,
        )
        statuses = policy_statuses(self._state, resolution=self._resolution, silence=self._silence, now=now)
        due = [report for report in self._state.reports.values() if self._report_due(report) <= now]
        spent = time.perf_counter() - started
        await asyncio.gather(
            *(
                self._writer.node(
                    self._state.nodes[name],
                    desired[name],
                    adjustments=adjustments[name],
                    host_kills=name in witnesses,
                    now=now,
                )
                for name in plan.apply
            ),
            *(self._writer.no_node(state, now=now) for state in plan.delete),
            *(self._writer.event(incident, now=now) for incident in self._writer.untold(now=now)),
            *(self._writer.status(POLICY, policy, status, now=now) for policy, status in statuses),
            *(self._report(report, now=now) for report in due),
        )
        if now >= self._sweep_due:
            self._sweep_due = now + _SWEEP_SECONDS
            await self._sweep(now)
        self._writer.retries.drop_stale(now=now)
        _log.debug(
            "run finished",
            computed_seconds=spent,
            total_seconds=time.perf_counter() - started,
            applied=len(plan.apply),
            deleted=len(plan.delete),
            reports=len(due),
        )
        return spent

    async def _resync(self, kinds: list[Kind], *, now: float) -> None:
        self._lists.listed(kinds, now=now)
        try:
            for kind in await resync(self._api, self._state, kinds=kinds):
                self._changed(kind)
        except APIError as error:
            _log.warning("list failed", error=error)

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
        await self._writer.status(REPORT, report, status, now=now)

    async def _sweep(self, now: float) -> None:
        """Delete the incidents whose last kill is too long ago."""
        await asyncio.gather(
            *(
                self._writer.no_incident(incident, now=now)
                for incident in self._state.incidents.values()
                if incident.last_seen is not None and incident.last_seen < now - TTL_SECONDS
            )
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
