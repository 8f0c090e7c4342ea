"""The controller process: kopf's watches and the reconciler, side by side."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kopf

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger

from .apiclient import APIClient
from .cache import ClusterCache
from .counts import ControllerCounts
from .handlers import handlers
from .incident_bounds import IncidentBounds
from .kopf_memory import NoMemories
from .kopf_settings import kopf_settings, log_fewer_attempts
from .login import Login, find_config
from .own_objects import OwnObjects
from .reconciler import AgentSelector, Reconciler
from .webhook import Webhook, WebhookOptions

if TYPE_CHECKING:
    from oomkeeper.metrics.server import MetricsServer

_log = get_logger(__name__)

_KOPF_ENDS_SECONDS = 15.0
"""How long kopf may take to end when it ends by itself; 5 s are usual."""
_LASTING_SECONDS = 60.0
"""kopf's watches worked if they did not give up within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `oomkeeper controller`."""

    kubeconfig: Path | None = None
    namespace: str | None = None
    """The operator's own namespace, which holds the incidents of host processes."""
    agent_selector: str | None = None
    """Label selector of the agents' pods in that namespace; None judges no agent."""
    bounds: IncidentBounds = field(default_factory=IncidentBounds)
    """Which incidents are kept."""
    cordons_nodes: bool = False
    """Whether it may cordon nodes that panicked (panicSafety.cordon)."""
    liveness: str | None = None
    """URL for kopf's health endpoint, such as http://0.0.0.0:8080/healthz."""
    metrics_port: int | None = None
    """Port of the metrics; None serves none."""
    metrics_address: str = ""
    """Address of this machine for them; empty: all IPv4 addresses."""
    metrics_workload_labels: bool = True
    """Whether series may name workloads."""
    own_objects: OwnObjects | None = None
    """The agents' DaemonSet and admission policy, where the controller has to apply them."""
    webhook: WebhookOptions | None = None
    """Where kills are sent as CloudEvents; None sends none."""


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Raises ApiConfigError if there is no usable configuration,
    MetricsPortError, and WebhookConfigError."""

    def config() -> ApiConfig:
        return find_config(kubeconfig=options.kubeconfig, environ=os.environ)

    config()
    log_fewer_attempts()
    api = APIClient(find_config=config)
    agents = (
        AgentSelector(options.namespace, options.agent_selector)
        if options.namespace and options.agent_selector
        else None
    )
    cache, counts = ClusterCache(), ControllerCounts()
    webhook = Webhook(options.webhook) if options.webhook is not None else None
    reconciler = Reconciler(
        api=api,
        cache=cache,
        agents=agents,
        cordons_nodes=options.cordons_nodes,
        bounds=options.bounds,
        counts=counts,
        webhook=webhook,
    )
    server = _metrics_server(options, reconciler=reconciler, cache=cache, counts=counts)
    own = options.own_objects
    applying = asyncio.create_task(own.keep_applied(api), name="own objects") if own is not None else None
    try:
        stop = asyncio.Event()
        _stop_on_signals(stop)
        restarts = Backoff()
        delay_seconds = 0.0
        while await _listed(reconciler, stop=stop, after_seconds=delay_seconds):
            started = time.monotonic()
            await _serve(reconciler, stop=stop, options=options, config=config)
            if stop.is_set():
                break
            if time.monotonic() - started > _LASTING_SECONDS:
                restarts.succeeded()
            delay_seconds = restarts.failed()
    finally:
        if applying is not None:
            applying.cancel()
            await asyncio.wait((applying,))
        if server is not None:
            await asyncio.to_thread(server.stop)
        if webhook is not None:
            await webhook.close()
        await api.close()
    _log.info("controller stopped")


def _metrics_server(
    options: Options, *, reconciler: Reconciler, cache: ClusterCache, counts: ControllerCounts
) -> "MetricsServer | None":
    """Serve the metrics, if asked for. Raises MetricsPortError."""
    if options.metrics_port is None:
        return None
    from oomkeeper.metrics.server import MetricsServer

    from .metrics import ControllerMetrics

    metrics = ControllerMetrics(
        reconciler=reconciler, cache=cache, counts=counts, workload_labels=options.metrics_workload_labels
    )
    server = MetricsServer(metrics.collect, port=options.metrics_port, address=options.metrics_address)
    server.start()
    return server


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _listed(reconciler: Reconciler, *, stop: asyncio.Event, after_seconds: float) -> bool:
    """List everything after a delay, which also waits until the custom resources are served. Return False if
    stopped by a signal before."""

    async def list_all() -> None:
        await asyncio.sleep(after_seconds)
        await reconciler.listed()

    listing, stopping = asyncio.create_task(list_all()), asyncio.create_task(stop.wait())
    await asyncio.wait((listing, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not listing.done():
        listing.cancel()
        return False
    listing.result()
    return True


async def _serve(
    reconciler: Reconciler, *, stop: asyncio.Event, options: Options, config: Callable[[], ApiConfig]
) -> None:
    """Run kopf and the reconciler until a signal comes or kopf gives up, as it does when a custom resource is
    no longer served; then end both. Raises what the reconciler raises."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    work = asyncio.create_task(reconciler.run(), name="reconciler")
    registry = handlers(reconciler, login=Login(config=config))

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: Any) -> None:
        # Not after kopf has ended: it waits 5 s for every task that was started after its own.
        work.cancel()
        await asyncio.wait((work,))

    watches = asyncio.create_task(_watch(registry, stop=stop, liveness=options.liveness), name="kopf")
    _log.info("controller started", namespace=options.namespace)
    await asyncio.wait((work, watches, stopping), return_when=asyncio.FIRST_COMPLETED)
    kopf_is_ending = work.cancelled() and not stopping.done()
    if kopf_is_ending:
        both = (watches, stopping)
        await asyncio.wait(both, timeout=_KOPF_ENDS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    # Again and again: kopf can lose a cancellation while it starts its tasks. And it may wait forever for one
    # of them when a custom resource that it watches is deleted.
    while not watches.done():
        watches.cancel()
        await asyncio.wait((watches,), timeout=1.0)
    stopping.cancel()
    work.cancel()
    await asyncio.wait((work,))
    if not work.cancelled():
        work.result()
    error = None if watches.cancelled() else watches.exception()
    if error is not None:
        _log.error("watches ended", error=error)


async def _watch(registry: kopf.OperatorRegistry, *, stop: asyncio.Event, liveness: str | None) -> None:
    """Run kopf until it is cancelled or fails.

    Signals stay ours: when kopf handles one and a task of its own fails while it stops, all that it reports
    is that task's error. Its stop_flag is no way out: kopf waits 5 s for the task that watches the flag.
    """
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings(),
        memories=NoMemories(),
        clusterwide=True,
        standalone=True,
        liveness_endpoint=liveness,
    )
    _stop_on_signals(stop)  # kopf has just replaced the handlers
    await kopf.run_tasks(tasks, ignored=others)
