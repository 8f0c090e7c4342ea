"""The one task that decides.

Level-triggered: each run computes the content of every object from the whole cache and writes those that
differ. So a missed event, a failed write or a restart costs time and nothing else. Changes are coalesced
(coalescer.py).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger

from . import oomnode_spec, shared_kernel
from .apiclient import APIClient, APIError
from .cache import ClusterCache
from .coalescer import Coalescer, pause_seconds
from .incident_ttl import expired
from .kinds import INCIDENT, KINDS, NODE, OOM_NODE, POLICY, REPORT, Kind, key_of
from .objects import Report
from .policy_statuses import policy_statuses
from .precedence import Resolution, resolve
from .relist import RelistSchedule, relist
from .report_status import next_refresh, report_status
from .unanswered import UnansweredSince
from .writer import Writer

_log = get_logger(__name__)

_IDLE_SECONDS = 15.0
"""Longest pause between two runs: windows move and agents fall silent without any event."""
_EXPIRE_SECONDS = 600.0
_COALESCE_KILLS_SECONDS = 1.0

_LONGEST_LIST_RETRY_SECONDS = 5.0
"""Between attempts of the first list: policies have no effect before it, and there is one controller only."""


class Reconciler:
    """Keeps the cache, and brings the API server in line with it."""

    def __init__(
        self, *, api: APIClient, cache: ClusterCache, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._cache = cache
        self._clock = clock
        self._coalescer = Coalescer()
        self._relists = RelistSchedule()
        self._writer = Writer(api=api, cache=cache, changed=self._changed, suspect_stale=self._suspect_stale)
        self._resolution: Resolution | None = None
        self._host_kill_nodes: frozenset[str] = frozenset()
        self._unanswered = UnansweredSince()
        self._kills = 0
        """Number of changes of incidents."""
        self._reported: dict[str, tuple[int, float]] = {}
        """Report's uid -> `_kills` at its last refresh, and when that was."""
        self._expire_due = 0.0
        self._alive = clock()
        """When a run ended last."""

    def idle_seconds(self) -> float:
        """Return the seconds since a run ended, for the health endpoint."""
        return self._clock() - self._alive

    def handle_event(self, kind: Kind, event: Mapping[str, Any]) -> None:
        """Store the object of a watch event; its type is None while kopf lists. Never waits."""
        obj = event["object"]
        if event["type"] is None:
            self._relists.kopf_lists(kind, now=self._clock())
        if event["type"] == "DELETED":
            changed = self._cache.remove(kind, key=key_of(obj), uid=obj["metadata"]["uid"])
        else:
            changed = self._cache.store(kind, obj)
        if changed:
            self._changed(kind)

    def _changed(self, kind: Kind) -> None:
        if kind in (POLICY, NODE, OOM_NODE):  # an OOMNode may hold a new boot id
            self._resolution = None
        if kind is INCIDENT:
            self._kills += 1
        self._coalescer.notify()

    def _suspect_stale(self, kind: Kind) -> None:
        self._relists.suspect_stale(kind, now=self._clock())
        self._coalescer.notify()

    async def listed(self) -> None:
        """Wait until the whole cluster has been listed once: no decision rests on a part of it."""
        backoff = Backoff(longest_seconds=_LONGEST_LIST_RETRY_SECONDS)
        while True:
            try:
                await relist(self._api, self._cache)
            except APIError as error:
                delay = backoff.failed(retry_after_seconds=error.retry_after_seconds)
                _log.warning("first list failed", error=error, retry_seconds=delay)
                await asyncio.sleep(delay)
            else:
                break
        self._relists.listed(KINDS, now=self._clock())
        self._resolution = None
        self._coalescer.notify()
        _log.info(
            "cluster listed",
            policies=len(self._cache.policies),
            nodes=len(self._cache.nodes),
            oomnodes=len(self._cache.oomnodes),
            incidents=len(self._cache.incidents),
            reports=len(self._cache.reports),
        )

    async def run(self) -> None:
        """Reconcile without end."""
        while True:
            await self._coalescer.wait(at_most_seconds=self._idle_until() - self._clock())
            computed = await self._run_once()
            self._alive = self._clock()
            await asyncio.sleep(pause_seconds(computed_seconds=computed))

    def _idle_until(self) -> float:
        due = [self._clock() + _IDLE_SECONDS, self._writer.retries.next(), self._relists.next()]
        due += [self._report_due(report) for report in self._cache.reports.values()]
        return min(due)

    async def _run_once(self) -> float:
        """Reconcile once. Return the seconds that computing took."""
        now = self._clock()
        if kinds := self._relists.due(now=now):
            await self._relist(kinds, now=now)
        started = time.perf_counter()
        if self._resolution is None:
            kernels = shared_kernel.boot_ids(self._cache.nodes, self._cache.oomnodes)
            self._resolution = resolve(
                policies=self._cache.policies.values(), nodes=self._cache.nodes.values(), boot_ids=kernels
            )
            self._host_kill_nodes = shared_kernel.host_kill_publishers(
                self._resolution.desired, boot_ids=kernels
            )
        desired, adjustments = self._resolution.desired, self._resolution.adjustments
        host_kill_nodes = self._host_kill_nodes
        plan = oomnode_spec.plan(
            nodes=self._cache.nodes,
            oomnodes=self._cache.oomnodes,
            desired=desired,
            adjustments=adjustments,
            host_kill_nodes=host_kill_nodes,
        )
        statuses = policy_statuses(
            self._cache, resolution=self._resolution, unanswered=self._unanswered, now=now
        )
        due = [report for report in self._cache.reports.values() if self._report_due(report) <= now]
        spent = time.perf_counter() - started
        await asyncio.gather(
            *(
                self._writer.apply_oomnode(
                    self._cache.nodes[name],
                    desired[name],
                    adjustments=adjustments[name],
                    host_kills=name in host_kill_nodes,
                    now=now,
                )
                for name in plan.apply
            ),
            *(self._writer.delete_oomnode(state, now=now) for state in plan.delete),
            *(
                self._writer.apply_event(incident, now=now)
                for incident in self._writer.pending_events(now=now)
            ),
            *(self._writer.apply_status(POLICY, policy, status, now=now) for policy, status in statuses),
            *(self._report(report, now=now) for report in due),
        )
        if now >= self._expire_due:
            self._expire_due = now + _EXPIRE_SECONDS
            await self._delete_expired(now)
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

    async def _relist(self, kinds: list[Kind], *, now: float) -> None:
        self._relists.listed(kinds, now=now)
        try:
            for kind in await relist(self._api, self._cache, kinds=kinds):
                self._changed(kind)
        except APIError as error:
            _log.warning("list failed", error=error)

    def _report_due(self, report: Report) -> float:
        """Return when to refresh it: after its interval, when its spec changes, about a second after a
        kill."""
        seen, at = self._reported.get(report.uid, (-1, 0.0))
        soon = at + _COALESCE_KILLS_SECONDS if seen != self._kills else float("inf")
        return max(min(next_refresh(report), soon), at + _COALESCE_KILLS_SECONDS)

    async def _report(self, report: Report, *, now: float) -> None:
        self._reported[report.uid] = (self._kills, now)
        status = report_status(
            report,
            incidents=self._cache.incidents.values(),
            nodes=self._cache.nodes,
            oomnodes=self._cache.oomnodes,
            namespaces=self._cache.namespaces,
            now=now,
        )
        await self._writer.apply_status(REPORT, report, status, now=now)

    async def _delete_expired(self, now: float) -> None:
        incidents = expired(self._cache.incidents.values(), now=now)
        await asyncio.gather(*(self._writer.delete_incident(incident, now=now) for incident in incidents))
