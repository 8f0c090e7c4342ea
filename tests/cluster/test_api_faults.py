"""The agent's reflector and the controller behind a proxy that misbehaves, in front of a real API server.

Each fault is followed by a change that must arrive; requests are counted.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.kube import client as client_module
from oomkeeper.agent.kube import transport as transport_module
from oomkeeper.agent.kube.client import decode_object
from oomkeeper.agent.kube.reflector import Reflector
from oomkeeper.connection import keepalive
from oomkeeper.connection.config import ApiConfig
from tests.unit.connection.certificates import Pair, make_ca, make_leaf
from tests.waiting import eventually

from .controller_harness import POLICIES, Controller, Harness
from .controller_harness import harness as harness
from .fault_proxy import Exchange, Fault, FaultProxy, Request, fault_proxy
from .packet_loss import packets_lost

pytestmark = pytest.mark.cluster

NODE = "node-faults"
PODS = "/api/v1/namespaces/default/pods"


class Pods:
    """The pods of a node as a reflector knows them."""

    def __init__(self, config: ApiConfig) -> None:
        self.known: dict[str, str] = {}
        self._reflector = Reflector(
            config=config,
            path="/api/v1/pods",
            query={"fieldSelector": f"spec.nodeName={NODE}"},
            decode=decode_object,
            listed=self._listed,
            changed=self._changed,
        )
        self._reflector.start()

    def stop(self) -> None:
        self._reflector.stop()
        self._reflector.join(10)

    def _listed(self, items: list[dict[str, Any]]) -> None:
        self.known = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in items}

    def _changed(self, kind: str, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        if kind == "DELETED":
            self.known.pop(meta["name"], None)
        else:
            self.known[meta["name"]] = meta["resourceVersion"]


class Cluster:
    """Pods in the API server, seen directly."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._number = 0

    def make_pod(self, *, bytes: int = 0) -> str:
        self._number += 1
        name = f"pod-{time.monotonic_ns()}"
        self._harness.request(
            "POST",
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "annotations": {"padding": "x" * bytes}},
                "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "none"}]},
            },
        )
        return name

    def delete_pods(self) -> None:
        self._harness.delete(f"{PODS}?gracePeriodSeconds=0")

    def pods(self, *, cached: bool = False) -> dict[str, str]:
        """Name -> version; `cached`: as a list from the API server's cache has them, which lags behind."""
        query = f"fieldSelector=spec.nodeName={NODE}" + ("&resourceVersion=0" if cached else "")
        items = self._harness.list(f"/api/v1/pods?{query}")
        return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in items}


@pytest.fixture
def cluster(harness: Harness) -> Iterator[Cluster]:
    made = Cluster(harness)
    made.delete_pods()
    yield made
    made.delete_pods()


@pytest.fixture
def authority(tmp_path: Path) -> Pair:
    return make_ca(tmp_path)


@pytest.fixture
def proxy(harness: Harness, authority: Pair, tmp_path: Path) -> Iterator[FaultProxy]:
    tls = make_leaf(tmp_path, issuer=authority).server_context()
    plane = harness.plane
    with fault_proxy(upstream=plane.url, ca_file=plane.ca_file, tls=tls) as running:
        yield running


@pytest.fixture
def pods(proxy: FaultProxy, harness: Harness, authority: Pair, cluster: Cluster) -> Iterator[Pods]:
    """Followed through the proxy, in the middle of its first watch."""
    cluster.make_pod()
    # Else the first watch has an event, and no longer continues from the version of the first list.
    eventually(lambda: cluster.pods(cached=True) == cluster.pods())
    config = ApiConfig(server=proxy.url, ca_file=authority.certificate, token=harness.plane.token)
    following = Pods(config)
    try:
        eventually(lambda: proxy.count("WATCH") == 1 and following.known == cluster.pods())
        yield following
    finally:
        following.stop()


def times(number: int, kind: str, fault: Fault) -> Callable[[Request], Fault | None]:
    """The fault for the next `number` requests of a kind."""
    left = [number]
    lock = threading.Lock()

    def choose(request: Request) -> Fault | None:
        with lock:
            if request.kind == kind and left[0] > 0:
                left[0] -= 1
                return fault
        return None

    return choose


def meet(proxy: FaultProxy, fault: Callable[[Request], Fault | None]) -> float:
    """From now on requests meet the fault, and every connection has to be made again. Returns the time."""
    proxy.fault = fault
    now = time.monotonic()
    proxy.close_connections()
    return now


def test_lists_are_from_the_cache_and_watches_continue(
    proxy: FaultProxy, pods: Pods, cluster: Cluster
) -> None:
    assert [one.version for one in proxy.of("LIST")] == ["0"]
    for _ in range(3):
        cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert (proxy.count("LIST"), proxy.count("WATCH")) == (1, 1)


def test_retry_after_of_429_is_honoured_without_a_list(
    proxy: FaultProxy, pods: Pods, cluster: Cluster
) -> None:
    busy: Fault = lambda one: one.status(429, headers={"Retry-After": "3"})  # noqa: E731
    met = meet(proxy, times(2, "WATCH", busy))
    cluster.make_pod()
    eventually(lambda: proxy.count("WATCH", since=met) == 3 and pods.known == cluster.pods())
    watches = proxy.of("WATCH", since=met)
    assert all(later.at - earlier.at >= 3 for earlier, later in pairwise(watches))
    assert proxy.count("LIST") == 1


@pytest.mark.parametrize("code", [500, 503])
def test_server_errors_keep_the_version(proxy: FaultProxy, pods: Pods, cluster: Cluster, code: int) -> None:
    version = proxy.of("WATCH")[0].version
    met = meet(proxy, times(3, "WATCH", lambda one: one.status(code)))
    cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert [one.version for one in proxy.of("WATCH", since=met)] == [version] * 4
    assert proxy.count("LIST") == 1


def test_compacted_version_costs_one_list_from_the_cache(
    proxy: FaultProxy, pods: Pods, cluster: Cluster
) -> None:
    version = proxy.of("WATCH")[0].version
    met = meet(proxy, times(1, "WATCH", lambda one: one.status(410)))
    cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert [one.version for one in proxy.of("LIST", since=met)] == [version]


def test_watches_that_end_immediately_are_not_hammered(
    proxy: FaultProxy, pods: Pods, cluster: Cluster
) -> None:
    met = meet(proxy, lambda one: Exchange.end_immediately if one.kind == "WATCH" else None)
    time.sleep(12)
    assert 1 <= proxy.count("WATCH", since=met) <= 12
    proxy.fault = lambda _request: None
    cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert proxy.count("LIST") == 1


def test_refused_connections_are_retried_with_growing_delays(
    proxy: FaultProxy, pods: Pods, cluster: Cluster
) -> None:
    met = meet(proxy, lambda _request: Exchange.drop)
    time.sleep(12)
    assert 1 <= proxy.count("WATCH", since=met) <= 12
    proxy.fault = lambda _request: None
    cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert proxy.count("LIST") == 1


def test_cut_off_event_is_delivered_by_the_next_watch(
    proxy: FaultProxy, pods: Pods, cluster: Cluster
) -> None:
    met = meet(proxy, times(2, "WATCH", lambda one: one.forward(cut_after=300)))
    cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert proxy.count("WATCH", since=met) >= 3
    assert proxy.count("LIST") == 1


@pytest.mark.parametrize(
    "silence",
    [Exchange.hang, lambda one: one.forward(hang_after=1)],
    ids=["from the start", "after the first event"],
)
def test_silent_watch_is_replaced(
    proxy: FaultProxy, pods: Pods, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, silence: Fault
) -> None:
    monkeypatch.setattr(client_module, "WATCH_SILENCE_SECONDS", 2.0)
    meet(proxy, times(2, "WATCH", silence))
    cluster.make_pod()
    time.sleep(0.5)
    cluster.make_pod()
    eventually(lambda: pods.known == cluster.pods())
    assert proxy.count("LIST") == 1


def test_first_list_that_is_refused_cut_off_or_slow_ends_complete(
    proxy: FaultProxy, harness: Harness, authority: Pair, cluster: Cluster
) -> None:
    for _ in range(5):
        cluster.make_pod(bytes=20_000)
    eventually(lambda: cluster.pods(cached=True) == cluster.pods())
    faults: list[Fault] = [
        lambda one: one.status(429, headers={"Retry-After": "1"}, body=b"storage is (re)initializing"),
        lambda one: one.forward(cut_after=50_000),
        lambda one: one.forward(chunk=4096, pause_seconds=0.05),
    ]
    waiting = iter(faults)
    proxy.fault = lambda request: next(waiting, None) if request.kind == "LIST" else None
    following = Pods(ApiConfig(server=proxy.url, ca_file=authority.certificate, token=harness.plane.token))
    try:
        eventually(lambda: following.known == cluster.pods())
        assert [one.version for one in proxy.of("LIST")] == ["0", "0", "0"]
    finally:
        following.stop()


def test_new_certificate_of_another_authority_needs_no_restart(
    proxy: FaultProxy, pods: Pods, cluster: Cluster, authority: Pair, tmp_path: Path
) -> None:
    renewed = make_ca(tmp_path, name="renewed")
    proxy.use_certificate(make_leaf(tmp_path, issuer=renewed, name="other").server_context())
    cluster.make_pod()
    time.sleep(3)
    assert pods.known != cluster.pods(), "the new certificate was accepted before its authority was known"
    renewed.certificate.replace(authority.certificate)
    eventually(lambda: pods.known == cluster.pods())
    assert proxy.count("LIST") == 1


def test_expired_token_is_replaced_by_the_one_in_the_file(
    proxy: FaultProxy, harness: Harness, authority: Pair, cluster: Cluster, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(harness.plane.token)
    config = ApiConfig(server=proxy.url, ca_file=authority.certificate, token_file=token)
    following = Pods(config)
    try:
        eventually(lambda: proxy.count("WATCH") == 1)
        token.write_text("expired")
        cluster.make_pod()
        eventually(lambda: following.known == cluster.pods())
        met = meet(proxy, lambda _request: None)
        cluster.make_pod()
        eventually(lambda: proxy.count("WATCH", since=met) >= 2)
        token.write_text(harness.plane.token)
        eventually(lambda: following.known == cluster.pods())
        assert proxy.count("LIST") == 1
    finally:
        following.stop()


def test_peer_that_is_gone_without_a_fin_is_detected(
    proxy: FaultProxy, harness: Harness, authority: Pair, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a keep-alive of 1 + 2 * 1 s instead of 20 + 3 * 10 s."""
    import socket

    quick = {
        socket.TCP_KEEPIDLE: 1,
        socket.TCP_KEEPINTVL: 1,
        socket.TCP_KEEPCNT: 2,
        socket.TCP_USER_TIMEOUT: 3000,
    }
    options = [
        (level, name, quick.get(name, value) if level == socket.IPPROTO_TCP else value)
        for level, name, value in keepalive.SOCKET_OPTIONS
    ]
    monkeypatch.setattr(transport_module, "SOCKET_OPTIONS", options)
    following = Pods(ApiConfig(server=proxy.url, ca_file=authority.certificate, token=harness.plane.token))
    try:
        eventually(lambda: proxy.count("WATCH") == 1)
        with packets_lost(port=int(proxy.url.rpartition(":")[2])):
            cluster.make_pod()
            time.sleep(6)
        met = time.monotonic()
        eventually(lambda: following.known == cluster.pods())
        assert proxy.count("WATCH", since=met - 6) >= 1
        assert proxy.count("LIST") == 1
    finally:
        following.stop()


def test_policy_made_while_the_api_server_initializes_is_seen_soon_after(
    proxy: FaultProxy, harness: Harness, authority: Pair, tmp_path: Path
) -> None:
    """Storage of custom resources that is being initialized answers 429 with Retry-After: 1."""
    kubeconfig = tmp_path / "kubeconfig"
    plane = harness.plane
    document = json.loads(plane.kubeconfig.read_text())
    document["clusters"][0]["cluster"] = {
        "server": proxy.url,
        "certificate-authority": str(authority.certificate),
    }
    kubeconfig.write_text(json.dumps(document))
    busy: Fault = lambda one: one.status(  # noqa: E731
        429, headers={"Retry-After": "1"}, body=b'{"message":"storage is (re)initializing"}'
    )
    watches_only = threading.Event()

    def choose(request: Request) -> Fault | None:
        if "oomkeeper.dev" not in request.path or request.kind not in ("LIST", "WATCH"):
            return None
        return busy if request.kind == "WATCH" or not watches_only.is_set() else None

    process = Controller(kubeconfig=kubeconfig, log=tmp_path / "controller.log")
    proxy.fault = choose
    process.start()
    try:
        eventually(lambda: proxy.count("LIST") >= 1)
        time.sleep(12)
        watches_only.set()
        eventually(lambda: "controller started" in process.log)
        eventually(lambda: any("oompolicies" in one.path for one in proxy.of("WATCH")))
        time.sleep(10)
        harness.policy("early", sysctls={"vm.oom_dump_tasks": 1})
        time.sleep(2)
        proxy.fault = lambda _request: None
        recovered = time.monotonic()
        eventually(lambda: harness.conditions(f"{POLICIES}/early"))
        assert time.monotonic() - recovered < 10
        assert process.stop() == 0
    finally:
        process.end()
        harness.wipe()
