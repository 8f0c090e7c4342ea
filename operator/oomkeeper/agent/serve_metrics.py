"""The agent's metrics endpoint. prometheus_client is imported only where metrics are served: it costs about
1 MiB."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .health import Health
from .kill_totals import DEFAULT_SERIES
from .metrics_view import MetricsView
from .publisher import Publisher
from .store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """The settings of the endpoint."""

    port: int
    address: str = ""
    """Address of this machine to listen on; empty: all IPv4 addresses."""
    workload_labels: bool = True
    """Whether kills have labels for namespace, workload and container."""
    max_series: int = DEFAULT_SERIES
    """Series of kills of workloads; see kill_totals.py."""


@contextmanager
def serving_metrics(
    config: MetricsConfig | None,
    *,
    store: Store,
    node: str,
    health: Health,
    view: MetricsView,
    publisher: Publisher | None = None,
) -> Iterator[None]:
    """Serve metrics within the block; `config` None: none. Raises MetricsPortError."""
    if config is None:
        yield
        return
    from oomkeeper.metrics.server import MetricsServer

    from .metrics import AgentMetrics

    store.max_kill_series = config.max_series
    metrics = AgentMetrics(
        store=store,
        node=node,
        health=health,
        view=view,
        publisher=publisher,
        workload_labels=config.workload_labels,
    )
    server = MetricsServer(metrics.collect, port=config.port, address=config.address)
    server.start()
    try:
        yield
    finally:
        server.stop()
