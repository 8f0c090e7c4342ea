"""`oomkeeper agent`: the node's loop joined with the API server.

Threads: the loop (this thread), two watches (this node's OOMNode, this node's pods), the publisher. They
share nothing but messages and the store. The API server may be away for hours, also when the agent starts:
the loop keeps the last desired state in force and stores what it records."""

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNodeStatus
from oomkeeper.resources.record import MalformedObjectError, R, read

from .adoption import ADOPTED_NOTE
from .clock import rfc3339
from .cluster_watch import ClusterWatch
from .database import hold_state
from .event_reader import EventReader
from .health import Health, HealthServer
from .host_paths import HostPaths
from .inbox import Inbox
from .kube.client import ApiClient, decode_object, resource_path
from .kube.errors import ApiError
from .kube.reflector import NEWEST
from .listener import LoopListener
from .loop import NodeLoop
from .messages import EventsRead, IncidentsListed, NamespacesChanged, PublishingChanged, Stop, WorkloadFound
from .metrics_view import MetricsView
from .namespaces import NamespaceCache
from .nodestatus import NodeView, build_status
from .pods import PodTable
from .publisher import Publisher, PublisherThread
from .recovery import open_state
from .runner import run_on_state
from .serve_metrics import MetricsConfig, serving_metrics
from .store import Store
from .traced_kills import UnloggedKills
from .workloads import WorkloadResolver

log = get_logger(__name__)

STOP_SECONDS = 5.0
"""Longest time for the last publication when the agent ends; the chart's grace period is 15 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The settings of `oomkeeper agent`."""

    api: ApiConfig
    node: str
    state_dir: Path
    namespace: str
    """The operator's own namespace: incidents of host processes go there."""
    host: HostPaths
    health_port: int | None = None
    """Port of the probes; None for none."""
    metrics: MetricsConfig | None = None
    """None: no metrics are served."""


class StatusReporter(LoopListener):
    """Hands what the loop found to the publisher."""

    def __init__(
        self, *, publisher: Publisher, thread: PublisherThread, client: ApiClient, metrics_view: MetricsView
    ) -> None:
        self._metrics_view = metrics_view
        self._publisher = publisher
        self._thread = thread
        self._client = client
        self._status: OOMNodeStatus | None = None
        self._clock_skew_seconds: float | None = None
        self._answered = False

    def incidents_changed(self) -> None:
        """Wake the publisher."""
        self._thread.wake()

    def server_answered(self, clock_skew_seconds: float | None) -> None:
        """Note the first answer of the API server, with what it tells of the clocks."""
        self._clock_skew_seconds = clock_skew_seconds
        self._answered = True

    def node_added(self) -> None:
        """Write the status in full: the OOMNode may be another object than before."""
        self._publisher.forget_status()
        self._thread.wake()

    def node_changed(self, view: NodeView) -> None:
        """Offer the node's status as it is now. Before the API server has answered, none can be published,
        and the condition on the clock would be written twice."""
        self._metrics_view.newest = view
        if not self._answered:
            return
        skew = self._client.clock_skew_seconds
        view = replace(
            view,
            rejections=self._publisher.rejections,
            clock_skew_seconds=self._clock_skew_seconds if skew is None else skew,
        )
        self._status = build_status(view, before=self._status, now=rfc3339(time.time()))
        self._publisher.offer_status(self._status)
        self._thread.wake()


class Agent:
    """One node's agent. `run` returns after `stop`."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._inbox = Inbox()

    def run(self) -> None:
        """Run until `stop`. Raises StateError where another agent holds the state folder, HealthPortError
        and MetricsPortError."""
        health = Health()
        server = (
            HealthServer(health, port=self._config.health_port)
            if self._config.health_port is not None
            else None
        )
        # The lock first: nothing in the folder is changed before.
        with hold_state(self._config.state_dir):
            store = open_state(self._config.state_dir)
            try:
                if server is not None:
                    server.start()
                self._run(store, health=health)
            finally:
                if server is not None:
                    server.stop()
                store.close()

    def stop(self) -> None:
        """End `run`. Safe from a signal handler."""
        self._inbox.post(Stop())

    def _run(self, store: Store, *, health: Health) -> None:
        config = self._config
        client = ApiClient(config.api)
        publisher = Publisher(
            client=client,
            store=store,
            node=config.node,
            rejections_changed=lambda: self._inbox.post(PublishingChanged()),
        )
        thread = PublisherThread(publisher)
        namespaces = NamespaceCache(config=config.api, changed=lambda: self._inbox.post(NamespacesChanged()))
        view = MetricsView()
        reporter = StatusReporter(publisher=publisher, thread=thread, client=client, metrics_view=view)
        watch = ClusterWatch(
            config=config.api,
            node=config.node,
            post=self._inbox.post,
            node_added=reporter.node_added,
        )
        workloads = WorkloadResolver(config=config.api, changed=lambda: self._inbox.post(WorkloadFound()))
        pods = PodTable(workload_of=workloads.workload, identity_of=workloads.identity)
        events = EventReader(config=config.api, answered=lambda: self._inbox.post(EventsRead()))

        unlogged = UnloggedKills()

        def build() -> NodeLoop:
            loop = NodeLoop(
                store=store,
                node=config.node,
                host=config.host,
                pods=pods,
                operator_namespace=config.namespace,
                listener=reporter,
                namespaces=namespaces.labels,
                events=events.ask,
                inbox=self._inbox,
                health=health,
                keeps_traces=False,
                unlogged=unlogged,
            )
            view.facts = loop.facts
            return loop

        with serving_metrics(
            config.metrics, store=store, node=config.node, health=health, view=view, publisher=publisher
        ):
            log.info("agent started", node=config.node, state=store.path)
            watch.start()
            threading.Thread(target=self._compare_clocks, args=(reporter,), name="clock", daemon=True).start()
            if store.note(ADOPTED_NOTE, bool):
                thread.start()
            else:
                threading.Thread(target=self._adopt, args=(thread,), name="adopt", daemon=True).start()
            run_on_state(store, build)
            watch.stop()
            thread.stop(within_seconds=STOP_SECONDS)
        client.close()
        log.info("agent stopped", node=config.node)

    def _compare_clocks(self, reporter: StatusReporter) -> None:
        """Wait for the API server's first answer, whatever it is: each one carries the server's time."""
        client = ApiClient(self._config.api)
        backoff = Backoff()
        while True:
            try:
                client.get("/version")
                break
            except ApiError as error:
                if error.status is not None:
                    break
                time.sleep(backoff.failed(retry_after_seconds=error.retry_after_seconds))
        reporter.server_answered(client.clock_skew_seconds)
        client.close()
        self._inbox.post(PublishingChanged())

    def _adopt(self, thread: PublisherThread) -> None:
        """Have the loop take over, with a new state, this node's incidents in the cluster, then publish."""
        client = ApiClient(self._config.api)
        backoff = Backoff()
        while True:
            try:
                incidents = self._list(client, "oomincidents")
                container_kills = self._list(client, "containerkills")
                break
            except ApiError as error:
                wait = backoff.failed(retry_after_seconds=error.retry_after_seconds)
                log.warning("incidents not listed", retry_seconds=wait, error=error)
                time.sleep(wait)
        client.close()
        adopted = threading.Event()
        listed = IncidentsListed(
            _readable(OOMIncident, incidents), adopted, _readable(ContainerKill, container_kills)
        )
        self._inbox.post(listed)
        adopted.wait()
        thread.start()

    def _list(self, client: ApiClient, plural: str) -> list[dict[str, object]]:
        """Return this node's objects of one kind; none where the cluster does not have the kind. Raises
        ApiError."""
        try:
            return client.list_items(
                resource_path(plural),
                decode=decode_object,
                resource_version=NEWEST,
                fieldSelector=f"spec.nodeName={self._config.node}",
            )[0]
        except ApiError as error:
            if error.status == 404:
                return []
            raise


def _readable(kind: type[R], items: list[dict[str, object]]) -> list[R]:
    """Return the objects that have the shape of their kind."""
    found = []
    for item in items:
        try:
            found.append(read(kind, item))
        except MalformedObjectError as error:
            log.error("object not adopted", kind=kind.__name__, error=error)
    return found
