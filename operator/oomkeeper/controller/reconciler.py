"""The one task that decides.

Level-triggered: each run computes from the whole cache what differs from the API server and submits the
writes (writer.py), without waiting for them. So a missed event, a failed write or a restart costs time and
nothing else. Changes are coalesced (coalescer.py), and only what they concern is computed anew.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger
from oomkeeper.reporting.incident import Incident
from oomkeeper.resources.oomnode import OOMNodeSpec

from . import oomnode_spec, shared_kernel
from .agent_health import AgentHealth, AgentHealths
from .agent_pods import AgentPods
from .apiclient import APIClient, APIError
from .cache import Change, ClusterCache
from .clock_skew import corrected
from .coalescer import Coalescer, pause_seconds
from .counts import ControllerCounts
from .incident_bounds import IncidentBounds, surplus
from .kinds import CONTAINER_KILL, INCIDENT, KINDS, POLICY, REPORT, Kind, key_of
from .node_events import node_events
from .notifier import Notifier
from .objects import KilledContainer, Node, OOMNodeState, Report
from .panic_breaker import PanicBreakers
from .panic_cordon import cordons
from .policy_events import breaker_event, conflict_event, rollout_event
from .policy_statuses import PolicyStatuses
from .precedence import Resolution, resolve
from .relist import RelistSchedule, relist
from .report_status import next_refresh, report_status
from .rollout_claims import Claims
from .rollouts import Rollouts
from .webhook import Webhook
from .write_queue import WriteQueue
from .writer import OBJECT_INTERVAL_SECONDS, Writer

_log = get_logger(__name__)

_IDLE_SECONDS = 15.0
"""Longest pause between two runs: windows move and agents fall silent without any event."""
_EXPIRE_SECONDS = 600.0

_LONGEST_LIST_RETRY_SECONDS = 5.0
"""Between attempts of the first list: policies have no effect before it, and there is one controller only."""


class AgentSelector(NamedTuple):
    """Where the agents' pods are."""

    namespace: str
    labels: str
    """Label selector."""


class Reconciler:
    """Keeps the cache, and brings the API server in line with it."""

    def __init__(
        self,
        *,
        api: APIClient,
        cache: ClusterCache,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        stopwatch: Callable[[], float] = time.perf_counter,
        agents: AgentSelector | None = None,
        cordons_nodes: bool = False,
        bounds: IncidentBounds | None = None,
        counts: ControllerCounts | None = None,
        webhook: Webhook | None = None,
    ) -> None:
        """`clock`: seconds since the epoch; `monotonic`: for intervals; `stopwatch`: how long computing
        takes; `agents`: where the agents' pods are; without it no agent is judged; `cordons_nodes`:
        whether the controller may cordon Nodes; `webhook`: where kills are sent."""
        self._api = api
        self._cache = cache
        self._clock = clock
        self._monotonic = monotonic
        self._stopwatch = stopwatch
        self._bounds = bounds or IncidentBounds()
        self._counts = counts or ControllerCounts()
        self._coalescer = Coalescer()
        self._relists = RelistSchedule()
        self._queue = WriteQueue(clock=monotonic)
        self._writer = Writer(
            api=api,
            cache=cache,
            queue=self._queue,
            changed=self._changed,
            suspect_stale=self._suspect_stale,
            counts=self._counts,
        )
        self._notifier = (
            Notifier(
                webhook=webhook,
                api=api,
                cache=cache,
                queue=self._queue,
                counts=self._counts,
                monotonic=monotonic,
            )
            if webhook is not None
            else None
        )
        self._resolution: Resolution | None = None
        """What every node would get if no rollout were under way."""
        self._boot_ids: dict[str, str] = {}
        self._specs: dict[str, OOMNodeSpec] = {}
        """Node -> what its OOMNode should hold now."""
        self._agents: dict[str, AgentHealth] = {}
        """Node -> health of its agent, where it is judged."""
        self._healths = AgentHealths()
        self._pods = (
            AgentPods(api=api, namespace=agents.namespace, selector=agents.labels, changed=self._pod_changed)
            if agents
            else None
        )
        self._cordons_nodes = cordons_nodes
        self._breakers = PanicBreakers(cache)
        self._rollouts = Rollouts(cache, agents=self._agents)
        self._statuses = PolicyStatuses(
            cache,
            agents=self._agents,
            rollouts=self._rollouts,
            breakers=self._breakers,
            cordons_nodes=cordons_nodes,
            interval_seconds=OBJECT_INTERVAL_SECONDS,
        )
        self._kills = 0
        """Number of changes of incidents and of nodes' kills."""
        self._reported: dict[str, tuple[int, float]] = {}
        """Report's uid -> `_kills` at its last refresh, and when that was."""
        self._expire_due = 0.0
        self._is_listed = False
        """Whether the whole cluster was listed once."""
        self._ended = monotonic()
        """When a run ended last."""

    def idle_seconds(self) -> float:
        """Return the seconds since a run ended, for the health endpoint."""
        return self._monotonic() - self._ended

    @property
    def agents(self) -> Mapping[str, AgentHealth]:
        """Node -> health of its agent, where it is judged."""
        return self._agents

    @property
    def writes_pending(self) -> int:
        """Objects with a write that is waiting or under way."""
        return self._queue.pending()

    @property
    def notifications_pending(self) -> int:
        """Incidents with kills that the webhook has not accepted."""
        return self._notifier.pending() if self._notifier is not None else 0

    def handle_event(self, kind: Kind, event: Mapping[str, Any]) -> None:
        """Store the object of a watch event; its type is None while kopf lists. Never waits."""
        obj = event["object"]
        if event["type"] is None:
            self._relists.kopf_lists(kind, now=self._clock())
        if event["type"] == "DELETED":
            change = self._cache.remove(kind, key=key_of(obj), uid=obj["metadata"]["uid"])
        else:
            change = self._cache.store(kind, obj)
        if change is not None:
            self._changed(kind, change)

    def _changed(self, kind: Kind, change: Change) -> None:
        record = change.after or change.before
        if kind is POLICY or _changes_resolution(change):
            self._resolution = None
        elif isinstance(record, Node | OOMNodeState):
            self._statuses.node_changed(record.name)
        if isinstance(record, OOMNodeState) and _history(change.before) != _history(change.after):
            self._kills += 1
        before, after = change
        if isinstance(before, OOMNodeState) and isinstance(after, OOMNodeState) and before.uid == after.uid:
            for event in node_events(before, after):
                self._writer.cluster_event(event, now=self._clock())
        if isinstance(record, Incident):
            self._kills += 1
            self._statuses.kills_changed(record.node)
        if isinstance(record, KilledContainer):
            return  # Only its bounds are the controller's, and they are looked at from time to time.
        if isinstance(after, Incident) and self._is_listed:
            # Immediately: in a large cluster the next run is seconds away.
            incident = corrected(after, self._cache.nodes)
            self._writer.events_of(incident, now=self._clock())
            if self._notifier is not None:
                self._notifier.offer(incident, now=self._clock())
        self._coalescer.notify()

    def _pod_changed(self, _node: str) -> None:
        self._coalescer.notify()

    def _suspect_stale(self, kind: Kind) -> None:
        self._relists.suspect_stale(kind, now=self._clock())
        self._coalescer.notify()

    async def listed(self) -> None:
        """Wait until the whole cluster has been listed once: no decision rests on a part of it."""
        backoff = Backoff(longest_seconds=_LONGEST_LIST_RETRY_SECONDS)
        while True:
            try:
                await relist(self._api, self._cache, changed=self._changed)
            except APIError as error:
                delay = backoff.failed(retry_after_seconds=error.retry_after_seconds)
                _log.warning("first list failed", error=error, retry_seconds=delay)
                await asyncio.sleep(delay)
            else:
                break
        self._relists.listed(KINDS, now=self._clock())
        self._is_listed = True
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
        """Reconcile without end. Cancelling it also cancels the pending writes."""
        following = asyncio.create_task(self._pods.follow(), name="agents' pods") if self._pods else None
        try:
            while True:
                await self._coalescer.wait(at_most_seconds=self._idle_until() - self._clock())
                computed = await self._run_once()
                self._ended = self._monotonic()
                await asyncio.sleep(pause_seconds(computed_seconds=computed))
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await self._queue.close()

    def _idle_until(self) -> float:
        due = [self._clock() + _IDLE_SECONDS, self._relists.next(), self._statuses.due_at()]
        due.append(self._rollouts.due_at())
        due += [self._report_due(report) for report in self._cache.reports.values()]
        return min(due)

    async def _run_once(self) -> float:
        """Reconcile once. Return the seconds that computing took."""
        now = self._clock()
        if kinds := self._relists.due(now=now):
            await self._relist(kinds, now=now)
        started = self._stopwatch()
        for trip in self._breakers.look(now=now):
            self._statuses.policy_changed(trip.policy.name)
            if event := breaker_event(trip.policy, trip.before, trip.after):
                self._writer.cluster_event(event, now=now)
            self._resolution = None
        is_new = self._resolution is None
        resolution = self._resolve()
        self._judge_agents(resolution)
        self._roll_out(resolution, is_new=is_new, now=now)
        plan = oomnode_spec.plan(
            nodes=self._cache.nodes,
            oomnodes=self._cache.oomnodes,
            specs=self._specs,
        )
        self._writer.oomnodes(plan)
        if self._cordons_nodes:
            with_breakers = self._breakers.policies().values()
            self._writer.node_cordons(cordons(self._cache, policies=with_breakers, now=now), now=now)
        self._writer.events(now=now)
        if self._notifier is not None:
            self._notifier.offer_all(self._cache.corrected_incidents(), now=now)
        self._writer.forget_others(POLICY, self._cache.policies)
        self._writer.forget_others(REPORT, self._cache.reports)
        for policy, status in self._statuses.compute(now=now):
            self._writer.status(POLICY, policy, status)
            if event := conflict_event(policy, status):
                self._writer.cluster_event(event, now=now)
            await asyncio.sleep(0)  # Let watch events and writes proceed between two policies.
        reports = [report for report in self._cache.reports.values() if self._report_due(report) <= now]
        for report in reports:
            self._report(report, now=now)
        if now >= self._expire_due:
            self._expire_due = now + _EXPIRE_SECONDS
            dropped = surplus(self._cache.corrected_incidents(), bounds=self._bounds, now=now)
            why = partial(self._bounds.reason, now=now)
            self._writer.delete_surplus(INCIDENT, dropped, reason=why)
            killed = surplus(self._cache.container_kills.values(), bounds=self._bounds, now=now)
            self._writer.delete_surplus(CONTAINER_KILL, killed)
        computed = self._stopwatch() - started
        self._counts.reconcile_seconds.observe(computed)
        _log.debug(
            "run finished",
            computed_seconds=computed,
            applied=len(plan.apply),
            deleted=len(plan.delete),
            reports=len(reports),
            writes_pending=self._queue.pending(),
        )
        return computed

    def _resolve(self) -> Resolution:
        if self._resolution is None:
            self._boot_ids = shared_kernel.boot_ids(self._cache.nodes, self._cache.oomnodes)
            self._resolution = self._resolve_with(held={})
        return self._resolution

    def _resolve_with(self, *, held: Mapping[tuple[str, str], Claims]) -> Resolution:
        return resolve(
            policies=self._breakers.policies().values(),
            nodes=self._cache.nodes.values(),
            boot_ids=self._boot_ids,
            present={name: state.spec for name, state in self._cache.oomnodes.items()},
            held=held,
        )

    def _roll_out(self, wanted: Resolution, *, is_new: bool, now: float) -> None:
        """Take the next step of every rollout, and decide what each OOMNode should hold."""
        before = self._rollouts.held
        changes = self._rollouts.decide(
            wanted,
            policies=self._breakers.policies(),
            specs=self._specs,
            boot_ids=self._boot_ids,
            is_new=is_new,
            now=now,
        )
        held = self._rollouts.held
        if is_new or held != before:
            resolution = self._resolve_with(held=held) if held else wanted
            publishers = shared_kernel.host_kill_publishers(resolution.desired, boot_ids=self._boot_ids)
            self._specs = {
                name: oomnode_spec.node_spec(
                    sysctls, resolution.adjustments[name], host_kills=name in publishers
                )
                for name, sysctls in resolution.desired.items()
            }
            self._statuses.resolved(resolution)
        for change in changes:
            self._statuses.policy_changed(change.policy.name)
            if event := rollout_event(change.policy, change.before, change.after):
                self._writer.cluster_event(event, now=now)

    def _judge_agents(self, resolution: Resolution) -> None:
        if self._pods is None or not self._pods.listed:
            return
        now = self._monotonic()
        for node in resolution.desired:
            health = self._healths.judge(node, self._pods.on_node(node), now=now)
            if self._agents.get(node) != health:
                self._agents[node] = health
                self._statuses.node_changed(node)
        for node in self._agents.keys() - resolution.desired.keys():
            del self._agents[node]
        self._healths.keep(resolution.desired)

    async def _relist(self, kinds: list[Kind], *, now: float) -> None:
        self._relists.listed(kinds, now=now)
        try:
            await relist(self._api, self._cache, kinds=kinds, changed=self._changed)
        except APIError as error:
            _log.warning("list failed", error=error)

    def _report_due(self, report: Report) -> float:
        """Return when to refresh it: after its interval, when its spec changes, and soon after a kill."""
        kills, at = self._reported.get(report.uid, (-1, float("-inf")))
        due = next_refresh(report) if kills == self._kills else 0.0
        return max(due, at + OBJECT_INTERVAL_SECONDS)

    def _report(self, report: Report, *, now: float) -> None:
        self._reported[report.uid] = (self._kills, now)
        status = report_status(
            report,
            incidents=self._cache.corrected_incidents(),
            nodes=self._cache.nodes,
            oomnodes=self._cache.oomnodes,
            agents=self._agents,
            namespaces=self._cache.namespaces,
            now=now,
        )
        self._counts.report_refreshes += 1
        self._writer.status(REPORT, report, status)


def _changes_resolution(change: Change) -> bool:
    """Return whether the change of a Node or OOMNode can change what policies decide."""
    before, after = change
    if before is None or after is None:
        return isinstance(before or after, Node | OOMNodeState)
    if isinstance(before, Node) and isinstance(after, Node):
        return (before.uid, before.labels, before.linux, before.boot_id) != (
            after.uid,
            after.labels,
            after.linux,
            after.boot_id,
        )
    if isinstance(before, OOMNodeState) and isinstance(after, OOMNodeState):
        return before.boot_id != after.boot_id
    return False


def _history(record: object) -> object:
    return record.history if isinstance(record, OOMNodeState) else None
