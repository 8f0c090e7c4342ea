"""`oomkeeper agent`: the node's loop joined with the API server.

Threads: the loop (this thread), two watchers (this node's OOMNode, this node's pods), the publisher. They
share nothing but messages and the store. The API server may be away for hours: the loop keeps the last
desired state in force and stores what it sees.
"""

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .clock import rfc3339
from .desired import Desired, parse_desired
from .incidents import key_of_document, merge_older
from .kube.client import ApiClient, ApiConfig, ApiError, resource_path
from .kube.watcher import Backoff, Watcher
from .loop import HostPaths, NodeLoop
from .namespaces import NamespaceCache
from .nodestatus import NodeView, build_status
from .panics import panics_of
from .pods import Pod, PodTable, parse_pod
from .publisher import Publisher
from .store import Store, hold_state
from .sysctl_enforcer import KeptState

log = logging.getLogger(__name__)

ADOPTED_NOTE = "adopted"
"""Name in the store of the note that the cluster's incidents of this node are counted on."""
ABSENT_SECONDS = 30.0
"""An OOMNode that is gone for so long means that nobody wants anything of this node any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """Everything that `oomkeeper agent` is told."""

    api: ApiConfig
    node: str
    state_dir: Path
    namespace: str
    """The operator's own namespace: incidents of host processes go there."""
    host: HostPaths


class Agent:
    """One node's agent. `run` returns after `stop`."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._store = Store.open(config.state_dir)
        self._publisher = Publisher(config=config.api, state_dir=config.state_dir, node=config.node)
        self._loop = NodeLoop(
            store=self._store,
            node=config.node,
            host=config.host,
            pods=PodTable(),
            operator_namespace=config.namespace,
            sink=lambda _record: None,
            changed=self._store_changed,
            kept=self._node_kept,
            namespaces=NamespaceCache(
                config=config.api, changed=lambda: self._loop.post(NodeLoop.adjust_soon)
            ).labels,
        )
        self._kept = KeptState()
        self._desired = Desired()
        self._status: dict[str, Any] | None = None
        self._kubelet_version: str | None = None
        self._absence: threading.Timer | None = None
        self._watchers = [
            Watcher(
                config=config.api,
                path=resource_path("oomnodes"),
                query={"fieldSelector": f"metadata.name={config.node}"},
                listed=self._nodes_listed,
                changed=self._node_changed,
            ),
            Watcher(
                config=config.api,
                path="/api/v1/pods",
                query={"fieldSelector": f"spec.nodeName={config.node}"},
                listed=self._pods_listed,
                changed=self._pod_changed,
            ),
        ]

    def run(self) -> None:
        """Until `stop`. Raises StateError where another agent holds the state folder."""
        with hold_state(self._config.state_dir):
            log.info(
                "agent starts node=%s kernel=%s boot=%s",
                self._config.node,
                self._loop.facts.kernel_release,
                self._loop.facts.boot_id,
            )
            for watcher in self._watchers:
                watcher.start()
            if self._store.note(ADOPTED_NOTE):
                self._publisher.start()
            else:
                threading.Thread(target=self._adopt, name="adopt", daemon=True).start()
            self._loop.run()
            for watcher in self._watchers:
                watcher.stop()
            if self._absence is not None:
                self._absence.cancel()
            if self._publisher.is_alive():
                self._publisher.stop(wait_seconds=3.0)
            self._store.close()
            log.info("agent ends node=%s", self._config.node)

    def stop(self) -> None:
        """Safe from a signal handler."""
        self._loop.stop()

    # -- from the watchers' threads

    def _nodes_listed(self, items: list[dict[str, Any]]) -> None:
        if items:
            self._node_changed("ADDED", items[0])
        else:
            self._node_changed("DELETED", {})

    def _node_changed(self, kind: str, obj: dict[str, Any]) -> None:
        if self._absence is not None:
            self._absence.cancel()
            self._absence = None
        if kind == "DELETED":
            self._absence = threading.Timer(
                ABSENT_SECONDS, self._loop.post, [lambda loop: loop.set_desired(Desired())]
            )
            self._absence.daemon = True
            self._absence.start()
            return
        desired = parse_desired(obj)
        if kind == "ADDED":
            self._kubelet_version = self._kubelet_version or self._read_kubelet_version()
            self._publisher.forget_status()
        elif desired.generation is not None and desired.generation == self._desired.generation:
            return  # our own status write
        self._loop.post(lambda loop: loop.set_desired(desired))

    def _pods_listed(self, items: list[dict[str, Any]]) -> None:
        pods = [parse_pod(item) for item in items]
        self._loop.post(lambda loop: self._replace_pods(loop, pods))

    def _pod_changed(self, kind: str, obj: dict[str, Any]) -> None:
        pod = parse_pod(obj)
        self._loop.post(lambda loop: self._put_pod(loop, kind, pod))

    def _read_kubelet_version(self) -> str | None:
        """From the Node object, where RBAC lets the agent read it."""
        client = ApiClient(self._config.api)
        try:
            node = client.get(f"/api/v1/nodes/{self._config.node}")
        except ApiError as error:
            log.info("kubelet version unknown problem=%s", error)
            return None
        finally:
            client.close()
        version = ((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion")
        return str(version) if version else None

    def _adopt(self) -> None:
        """With a new state, count on from the incidents that an earlier state of this node has left in the
        cluster."""
        client = ApiClient(self._config.api)
        backoff = Backoff()
        while True:
            try:
                items, _ = client.list_items(
                    resource_path("oomincidents"), fieldSelector=f"spec.nodeName={self._config.node}"
                )
                break
            except ApiError as error:
                wait = backoff.next_seconds()
                log.warning("incidents not listed retry_seconds=%.1f problem=%s", wait, error)
                time.sleep(wait)
        client.close()
        adopted = threading.Event()
        self._loop.post(lambda _loop: self._take_over(items, adopted))
        adopted.wait()
        self._publisher.start()

    # -- in the loop's thread

    def _take_over(self, items: list[dict[str, Any]], done: threading.Event) -> None:
        # All of it or nothing: what is published before it would take the cluster's counts back to ours.
        with self._store.transaction():
            for item in items:
                self._take_over_one(item)
            self._store.put_note(ADOPTED_NOTE, True)
        log.info("incidents taken over count=%d", len(items))
        done.set()

    def _take_over_one(self, item: dict[str, Any]) -> None:
        older = {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "metadata": {name: item["metadata"].get(name) for name in ("name", "namespace", "labels")},
            "spec": item["spec"],
            "status": {"count": 0, "kills": [], "history": [], **(item.get("status") or {})},
        }
        key = key_of_document(older)
        mine = self._store.incident(key)
        if mine is None:
            self._store.adopt_incident(key, older)
        else:
            self._store.put_incident(key, merge_older(mine, older))

    def _replace_pods(self, loop: NodeLoop, pods: list[Pod]) -> None:
        assert loop.pods is not None
        loop.pods.replace(pods, now=time.monotonic())
        for pod in pods:
            self._look_at(loop, pod)
        loop.pods_changed()

    def _put_pod(self, loop: NodeLoop, kind: str, pod: Pod) -> None:
        assert loop.pods is not None
        loop.pods.put(pod)
        if kind == "DELETED":
            loop.pods.remove(pod.facts.cgroup_uid, now=time.monotonic())
        loop.pods_changed()
        self._look_at(loop, pod)

    def _look_at(self, loop: NodeLoop, pod: Pod) -> None:
        if loop.visibility is not None:
            loop.visibility.pod_changed(pod)

    def _store_changed(self) -> None:
        self._publisher.incidents_changed()
        self._offer_status()

    def _node_kept(self, kept: KeptState, desired: Desired) -> None:
        self._kept, self._desired = kept, desired
        self._offer_status()

    def _offer_status(self) -> None:
        view = NodeView(
            facts=self._loop.facts,
            kubelet=self._loop.kubelet,
            kubelet_version=self._kubelet_version,
            desired=self._desired,
            kept=replace(self._kept, released={}),
            account=self._store.account(),
            kmsg_problem=self._loop.kmsg_problem,
            panics=panics_of(self._store),
        )
        self._status = build_status(view, before=self._status, now=rfc3339(time.time()))
        self._publisher.offer_status(self._status)
