"""`oomkeeper agent`: the node's loop joined with the API server.

Threads: the loop (this thread), two watches (this node's OOMNode, this node's pods), the publisher. They
share nothing but messages and the store. The API server may be away for hours: the loop keeps the last
desired state in force and stores what it records."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNodeStatus
from oomkeeper.resources.record import read

from .adoption import ADOPTED_NOTE
from .clock import rfc3339
from .cluster_watch import ClusterWatch
from .inbox import Inbox
from .kube.client import ApiClient, decode_object, resource_path
from .kube.errors import ApiError
from .kube.reflector import NEWEST
from .listener import LoopListener
from .loop import HostPaths, NodeLoop
from .messages import IncidentsListed, NamespacesChanged, Stop, WorkloadFound
from .namespaces import NamespaceCache
from .nodestatus import NodeView, build_status
from .pods import PodTable
from .publisher import Publisher
from .store import Store, hold_state
from .workloads import WorkloadResolver

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The settings of `oomkeeper agent`."""

    api: ApiConfig
    node: str
    state_dir: Path
    namespace: str
    """The operator's own namespace: incidents of host processes go there."""
    host: HostPaths


class StatusReporter(LoopListener):
    """Hands what the loop found to the publisher."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._status: OOMNodeStatus | None = None

    def incidents_changed(self) -> None:
        """Wake the publisher."""
        self._publisher.incidents_changed()

    def node_changed(self, view: NodeView) -> None:
        """Offer the node's status as it is now."""
        self._status = build_status(view, before=self._status, now=rfc3339(time.time()))
        self._publisher.offer_status(self._status)


class Agent:
    """One node's agent. `run` returns after `stop`."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._inbox = Inbox()

    def run(self) -> None:
        """Run until `stop`. Raises StateError where another agent holds the state folder."""
        with hold_state(self._config.state_dir):
            store = Store.open(self._config.state_dir)
            try:
                self._run(store)
            finally:
                store.close()

    def stop(self) -> None:
        """End `run`. Safe from a signal handler."""
        self._inbox.post(Stop())

    def _run(self, store: Store) -> None:
        config = self._config
        publisher = Publisher(config=config.api, state_dir=config.state_dir, node=config.node)
        namespaces = NamespaceCache(config=config.api, changed=lambda: self._inbox.post(NamespacesChanged()))
        workloads = WorkloadResolver(config=config.api, changed=lambda: self._inbox.post(WorkloadFound()))
        loop = NodeLoop(
            store=store,
            node=config.node,
            host=config.host,
            pods=PodTable(workload_of=workloads.workload),
            operator_namespace=config.namespace,
            listener=StatusReporter(publisher),
            namespaces=namespaces.labels,
            inbox=self._inbox,
            keeps_traces=False,
        )
        watch = ClusterWatch(
            config=config.api, node=config.node, post=loop.post, node_added=publisher.forget_status
        )
        log.info(
            "agent started",
            node=config.node,
            kernel=loop.facts.kernel_release,
            boot=loop.facts.boot_id,
        )
        watch.start()
        if store.note(ADOPTED_NOTE, bool):
            publisher.start()
        else:
            threading.Thread(target=self._adopt, args=(publisher,), name="adopt", daemon=True).start()
        loop.run()
        watch.stop()
        if publisher.is_alive():
            publisher.stop(wait_seconds=3.0)
        log.info("agent stopped", node=config.node)

    def _adopt(self, publisher: Publisher) -> None:
        """With a new state, have the loop take over this node's incidents in the cluster, then publish."""
        client = ApiClient(self._config.api)
        backoff = Backoff()
        while True:
            try:
                items, _ = client.list_items(
                    resource_path("oomincidents"),
                    decode=decode_object,
                    resource_version=NEWEST,
                    fieldSelector=f"spec.nodeName={self._config.node}",
                )
                break
            except ApiError as error:
                wait = backoff.failed(retry_after_seconds=error.retry_after_seconds)
                log.warning("incidents not listed", retry_seconds=wait, error=error)
                time.sleep(wait)
        client.close()
        adopted = threading.Event()
        self._inbox.post(IncidentsListed([read(OOMIncident, item) for item in items], adopted))
        adopted.wait()
        publisher.start()
