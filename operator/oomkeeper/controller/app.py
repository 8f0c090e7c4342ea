"""kopf on the outside: watches in, nothing out.

Only low-level event handlers, each of which hands the object on. kopf writes nothing to any object: no
handler of it needs progress, finalizers or annotations, and its Events are off. What is decided is decided in
reconciler.py.
"""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from oomkeeper.logformat import get_logger
from oomkeeper.model.names import GROUP

from .apiclient import APIClient
from .kinds import KINDS, Kind
from .login import connect
from .reconciler import Reconciler
from .state import ClusterState

_log = get_logger(__name__)

_STALLED_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How `oomkeeper controller` was called."""

    kubeconfig: Path | None = None
    namespace: str | None = None
    """The operator's own: where the incidents of host processes are."""
    liveness: str | None = None
    """URL for kopf's health endpoint, such as http://0.0.0.0:8080/healthz."""


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Raises login.NoCluster when there are no credentials to begin with."""
    connect(kubeconfig=options.kubeconfig)
    api = APIClient(login=lambda: connect(kubeconfig=options.kubeconfig))
    reconciler = Reconciler(api=api, state=ClusterState())
    try:
        while await _listed(reconciler):
            if await _serve(reconciler, options=options):
                break
    finally:
        await api.close()
    _log.info("controller stopped")


async def _listed(reconciler: Reconciler) -> bool:
    """List everything, which also waits for the custom resources to be served. False when told to stop
    before."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # kopf takes both over once it runs
        loop.add_signal_handler(number, stop.set)
    listing, stopping = asyncio.create_task(reconciler.listed()), asyncio.create_task(stop.wait())
    await asyncio.wait((listing, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not listing.done():
        listing.cancel()
        return False
    listing.result()
    return True


async def _serve(reconciler: Reconciler, *, options: Options) -> bool:
    """kopf and the reconciler side by side; when one ends, so does the other.

    True when told to stop; False when kopf gave up, as it does when a custom resource is no longer served.
    """
    work = asyncio.create_task(reconciler.run(), name="reconciler")
    registry = handlers(reconciler, options=options)

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: Any) -> None:
        # Here and not after kopf.operator(): kopf waits 5 s for whatever runs and is younger than itself.
        work.cancel()
        await asyncio.wait((work,))

    watches = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=settings(),
            clusterwide=True,
            standalone=True,
            liveness_endpoint=options.liveness,
        ),
        name="kopf",
    )
    _log.info("controller started", namespace=options.namespace)
    await asyncio.wait((work, watches), return_when=asyncio.FIRST_COMPLETED)
    if work.done() and not work.cancelled():  # it failed, for it never returns
        watches.cancel()
    work.cancel()
    await asyncio.wait((work, watches))
    if not work.cancelled():
        work.result()
    error = None if watches.cancelled() else watches.exception()
    if error is not None:
        _log.error("watches ended", error=error)
    return error is None


def settings() -> kopf.OperatorSettings:
    """What differs from kopf's defaults, and why."""
    chosen = kopf.OperatorSettings()
    # Lists in pages: without it kopf keeps whole lists in memory.
    chosen.watching.chunk_size = 500
    chosen.watching.server_timeout = 290
    chosen.watching.client_timeout = 300
    chosen.posting.enabled = False
    # The kinds are known, and were served when the first list succeeded: no need to read CRDs or namespaces.
    chosen.scanning.disabled = True
    # An idle object needs no task.
    chosen.queueing.idle_timeout = 0.5
    chosen.queueing.exit_timeout = 0.5
    # An API server that is away for hours is waited for. kopf gives up, and ends, after the last of these.
    chosen.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, *(30,) * 2880)
    # kopf takes its finalizer off whatever it sees; the default name may belong to another operator written
    # in kopf.
    chosen.persistence.finalizer = f"{GROUP}/controller"
    return chosen


def handlers(reconciler: Reconciler, *, options: Options) -> kopf.OperatorRegistry:
    """Every handler there is."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connect(kubeconfig=options.kubeconfig)

    @kopf.on.probe(registry=registry, id="idle_seconds")
    async def probe(**_: Any) -> int:
        idle = reconciler.idle_seconds()
        if idle > _STALLED_SECONDS:
            raise kopf.PermanentError(f"the reconciler has not run for {idle:.0f} s")
        return int(idle)

    for kind in KINDS:
        _follow(registry, kind=kind, reconciler=reconciler)
    return registry


def _follow(registry: kopf.OperatorRegistry, *, kind: Kind, reconciler: Reconciler) -> None:
    where = (kind.group, kind.version, kind.plural) if kind.group else (kind.version, kind.plural)

    @kopf.on.event(*where, registry=registry, id=f"follow-{kind.plural}")
    async def follow(event: Mapping[str, Any], **_: Any) -> None:
        reconciler.seen(kind, event)
