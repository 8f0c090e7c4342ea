"""The controller's metrics, read when Prometheus asks for them. docs/metrics.md describes each one.

They are computed in the controller's own task: the cache changes while it works."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from oomkeeper.metrics.families import api_requests, build_info, by_label, counter, gauge, histogram
from oomkeeper.model.policy import AdjustmentState, SysctlState

from .agent_health import UNKNOWN, AgentHealth
from .cache import ClusterCache
from .counts import REQUESTS, ControllerCounts
from .incident_bounds import BOUND, EXPIRED
from .last_kills import LABELS, last_kill_limits
from .notifier import EXPIRED as EXPIRED_UNSENT
from .notifier import FAILED, SENT
from .objects import OOMNodeState, Policy
from .panic_breaker import can_panic
from .reconciler import Reconciler

COLLECT_SECONDS = 10.0
"""Longest time until the controller's task answers."""
MAX_NAMESPACES = 100
"""Namespaces with a series of their own: those with the most incidents."""
OTHER = "_other"
"""`namespace` of the others; no namespace can have this name."""

MAX_POLICIES = 100
"""Policies with a series of their panic breaker; those that have tripped come first."""

POLICY_STATES = ("Ready", "Progressing", "Degraded", "Suspended", "Invalid")
NODE_STATES = ("InSync", "NotInSync", "Pending", "AgentSilent", "Unmanaged")

_IN_SYNC = (SysctlState.IN_SYNC, SysctlState.AUDITED, AdjustmentState.IN_SYNC, AdjustmentState.AUDITED)


class ControllerMetrics:
    """Collects the metrics; `collect` is called in the metrics server's threads."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        cache: ClusterCache,
        counts: ControllerCounts,
        workload_labels: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Call it in the controller's event loop. `workload_labels`: whether series may name workloads;
        `clock`: seconds since the epoch."""
        self._workload_labels = workload_labels
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._reconciler = reconciler
        self._cache = cache
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Return every family. Raises TimeoutError where the controller's task hangs."""
        return asyncio.run_coroutine_threadsafe(self._read(), self._loop).result(COLLECT_SECONDS)

    async def _read(self) -> list[Metric]:
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        counts, cache = self._counts, self._cache
        yield build_info("controller")
        yield gauge(
            "oomkeeper_policies",
            "OOMPolicies by state.",
            by_label(_counted(POLICY_STATES, map(policy_state, cache.policies.values()))),
            labels=("state",),
        )
        yield gauge(
            "oomkeeper_panic_breaker_tripped",
            "Policies that enforce vm.panic_on_oom 1 or 2: 1 if the panic breaker has tripped, 0 if not.",
            by_label(tripped_breakers(cache)),
            labels=("policy",),
        )
        yield gauge(
            "oomkeeper_nodes",
            "Linux nodes by state.",
            by_label(_counted(NODE_STATES, node_states(cache, self._reconciler.agents))),
            labels=("state",),
        )
        yield gauge(
            "oomkeeper_incidents",
            "OOMIncidents in the cluster by namespace.",
            by_label(incidents_by_namespace(cache)),
            labels=("namespace",),
        )
        if self._workload_labels:
            yield gauge(
                "oomkeeper_last_oom_kill_limit_bytes",
                "Limit that a workload's last OOM kill reached, if it was in the last 50 minutes.",
                last_kill_limits(cache.corrected_incidents(), now=self._clock()),
                labels=LABELS,
            )
        yield counter(
            "oomkeeper_deleted_incidents",
            "OOMIncidents deleted: Expired after their last kill, or Bound by the number that is kept.",
            by_label(_counted((EXPIRED, BOUND), ()) | counts.deleted_incidents.read()),
            labels=("reason",),
        )
        yield counter("oomkeeper_report_refreshes", "Refreshes of OOMReports.", counts.report_refreshes)
        yield histogram(
            "oomkeeper_reconcile_duration_seconds",
            "Time that one run of the reconciler computes.",
            counts.reconcile_seconds.read(),
        )
        yield gauge(
            "oomkeeper_write_queue_length",
            "Objects with a write to the API server that is waiting or under way.",
            self._reconciler.writes_pending,
        )
        yield counter(
            "oomkeeper_notifications",
            "CloudEvents for the webhook: sent, failed attempts, and expired unsent.",
            by_label(_counted((SENT, FAILED, EXPIRED_UNSENT), ()) | counts.notifications.read()),
            labels=("result",),
        )
        yield gauge(
            "oomkeeper_notifications_pending",
            "OOMIncidents with kills that the webhook has not accepted.",
            self._reconciler.notifications_pending,
        )
        yield api_requests(REQUESTS.read())


def policy_state(policy: Policy) -> str:
    """Return the state of a policy: one of POLICY_STATES, by its spec and its published conditions."""
    if policy.invalid is not None:
        return "Invalid"
    if policy.spec is not None and policy.spec.suspend:
        return "Suspended"
    conditions = {one.type: one.status for one in (policy.status.conditions if policy.status else ())}
    if conditions.get("Degraded") == "True":
        return "Degraded"
    return "Ready" if conditions.get("Ready") == "True" else "Progressing"


def tripped_breakers(cache: ClusterCache) -> dict[str, float]:
    """Return policy -> whether its published breaker has tripped, those first; bounded."""
    found = {
        name: float(policy.status.panic_breaker.tripped)
        for name, policy in cache.policies.items()
        if policy.status is not None and policy.status.panic_breaker is not None and can_panic(policy)
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:MAX_POLICIES])


def node_states(cache: ClusterCache, agents: Mapping[str, AgentHealth]) -> Iterator[str]:
    """Yield the state of each Linux node: one of NODE_STATES."""
    for name, node in cache.nodes.items():
        if node.linux:
            health = agents.get(name, UNKNOWN)
            yield health.state if health.away else _reported_state(cache.oomnodes.get(name))


def incidents_by_namespace(cache: ClusterCache) -> dict[str, float]:
    """Return namespace -> incidents, for the namespaces with the most of them."""
    counts = Counter(incident.namespace for incident in cache.incidents.values())
    found: dict[str, float] = dict(counts.most_common(MAX_NAMESPACES))
    if others := counts.total() - sum(found.values()):
        found[OTHER] = others
    return found


def _reported_state(state: OOMNodeState | None) -> str:
    if state is None or state.observed_generation < state.generation:
        return "Pending"
    states = [one.state for one in state.sysctls.values()]
    states += [one.state for one in state.adjustments.values()]
    return "InSync" if all(one in _IN_SYNC for one in states) else "NotInSync"


def _counted(states: Iterable[str], found: Iterable[str]) -> dict[str, float]:
    """Return state -> number, with every possible state."""
    return {**dict.fromkeys(states, 0), **Counter(found)}
