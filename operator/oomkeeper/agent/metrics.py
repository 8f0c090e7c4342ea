"""The agent's metrics, read when Prometheus asks for them. docs/metrics.md describes each one.

The counters of kills come from the state database, so they continue after a restart, kill -9 and reboot. What
is served is on disk before: a counter that is smaller after a power cut would count all its kills again."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric

from oomkeeper.logformat import get_logger
from oomkeeper.metrics.families import api_requests, build_info, by_label, counter, gauge, histogram
from oomkeeper.model.node import NodeFacts
from oomkeeper.model.policy import SysctlState

from .health import Health
from .kill_accounting import KERNEL_COUNT_NOTE
from .kill_totals import KillSeries, KillTotals
from .kube.requests import REQUESTS
from .metrics_view import MetricsView
from .nodestatus import NodeView
from .panics import PANICS_NOTE
from .publisher import Publisher
from .records import KILLERS_NOTE, KernelCount, PanicNote
from .store import Store

log = get_logger(__name__)

_NO_COUNT = KernelCount(boot="", counted=0)


class AgentMetrics:
    """Collects the metrics; used from the metrics server's threads."""

    def __init__(
        self,
        *,
        store: Store,
        node: str,
        health: Health,
        view: MetricsView,
        publisher: Publisher | None = None,
        workload_labels: bool = True,
    ) -> None:
        """`publisher` None: a bare host, which publishes nothing. `workload_labels` False: kills have the
        label `cause` alone."""
        self._store = store
        self._node = node
        self._health = health
        self._view = view
        self._publisher = publisher
        self._workload_labels = workload_labels
        self._synced: object = None

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield build_info("agent")
        yield from self._kills()
        yield from self._sources()
        if self._view.facts is not None:
            yield self._node_info(self._view.facts)
        if self._view.newest is not None:
            yield from _sysctls(self._view.newest)
        if self._publisher is not None:
            yield from self._publishing(self._publisher)

    def _kills(self) -> Iterable[Metric]:
        totals = self._store.kill_totals()
        kernel = self._store.committed_note(KERNEL_COUNT_NOTE, KernelCount) or _NO_COUNT
        self._sync((totals, kernel, self._store.problem))
        yield self._kills_by_workload(totals)
        killers = self._store.committed_note(KILLERS_NOTE, dict[str, int]) or {}
        yield counter(
            "oomkeeper_container_kills",
            "Containers that ended by SIGKILL, by what killed them.",
            by_label(killers),
            labels=("killer",),
        )
        yield counter(
            "oomkeeper_kernel_oom_kills",
            "Processes killed by the kernel's OOM killer (oom_kill of /proc/vmstat), over all boots.",
            kernel.kills,
        )
        yield counter(
            "oomkeeper_unattributed_oom_kills",
            "Of these, processes for which no log or trace record was found in time.",
            kernel.unattributed,
        )
        yield counter(
            "oomkeeper_lost_log_records",
            "Kernel log records overwritten before they were read.",
            self._store.lost_records(),
        )
        panics = self._store.committed_note(PANICS_NOTE, PanicNote) or PanicNote()
        yield counter(
            "oomkeeper_oom_panics", "Panics of the node because of an OOM, found in pstore.", panics.count
        )

    def _kills_by_workload(self, totals: KillTotals) -> Metric:
        help = "OOM kills by cause and workload; the processes of one event (memory.oom.group) are one kill."
        if not self._workload_labels:
            return counter("oomkeeper_oom_kills", help, by_label(totals.causes), labels=("cause",))
        return counter("oomkeeper_oom_kills", help, _plain(totals.series), labels=KillSeries._fields)

    def _sync(self, served: object) -> None:
        if served == self._synced:
            return
        try:
            self._store.sync()
            self._synced = served
        except OSError as error:
            log.warning("state not synced", error=error)

    def _sources(self) -> Iterable[Metric]:
        yield gauge(
            "oomkeeper_kernel_log_readable",
            "1 while the kernel log is read, 0 while it cannot be.",
            float(self._health.started and self._health.log_problem is None),
        )
        yield gauge(
            "oomkeeper_trace_readable",
            "1 while the kernel's trace of kills is read, 0 while it cannot be.",
            float(self._health.started and self._health.trace_problem is None),
        )
        yield counter(
            "oomkeeper_lost_trace_records",
            "Trace records of killed processes overwritten before they were read, since the agent's start.",
            self._health.lost_trace_records,
        )
        yield gauge(
            "oomkeeper_state_stored",
            "1 while the state is on disk, 0 while it is kept in memory.",
            float(self._health.state_problem is None),
        )
        yield counter(
            "oomkeeper_state_dropped_rows",
            "Rows dropped from the state in memory while the disk took no write.",
            self._store.dropped,
        )

    def _node_info(self, facts: NodeFacts) -> Metric:
        return gauge(
            "oomkeeper_node_info",
            "Always 1; facts about the node are labels.",
            {(self._node, facts.kernel_release, str(facts.cgroup_version)): 1},
            labels=("node", "kernel_release", "cgroup_version"),
        )

    def _publishing(self, publisher: Publisher) -> Iterable[Metric]:
        yield gauge(
            "oomkeeper_unpublished_incidents",
            "OOMIncidents and ContainerKills whose newest version is not written to the API server.",
            self._store.count_unpublished(),
        )
        yield gauge(
            "oomkeeper_rejected_incidents",
            "Of these, objects that the API server rejects.",
            publisher.rejections.number,
        )
        yield counter(
            "oomkeeper_incident_writes",
            "Writes of OOMIncidents and ContainerKills that the API server has taken.",
            publisher.writes,
        )
        yield histogram(
            "oomkeeper_incident_publish_latency_seconds",
            "Time from a kill to the write of its OOMIncident, for the last kill of each write.",
            publisher.latency.read(),
        )
        yield api_requests(REQUESTS.read())


def _sysctls(view: NodeView) -> Iterable[Metric]:
    sysctls = view.sysctls.statuses
    yield gauge(
        "oomkeeper_sysctl_in_sync",
        "1 where a sysctl has the value that a policy sets, otherwise 0.",
        {(one.name, one.mode or ""): float(one.state == SysctlState.IN_SYNC) for one in sysctls},
        labels=("sysctl", "mode"),
    )
    yield counter(
        "oomkeeper_sysctl_drifts",
        "How often another process changed a sysctl that a policy sets.",
        by_label({one.name: one.drift_count or 0 for one in sysctls}),
        labels=("sysctl",),
    )


def _plain(series: Mapping[KillSeries, int]) -> dict[tuple[str, ...], float]:
    return {tuple(one): kills for one, kills in series.items()}
