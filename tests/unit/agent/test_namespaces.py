"""Labels of namespaces, read one by one from an API server and kept for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from oomkeeper.agent.namespaces import FRESH_SECONDS, NamespaceCache
from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import LONGEST_SECONDS

from .adjust_harness import Clock
from .kube_server import Exchange, server


class Cluster:
    """Namespaces, and the requests for them."""

    def __init__(self) -> None:
        self.labels: dict[str, dict[str, str]] = {"shop": {"team": "a"}}
        self.status = 200
        self.asked: list[str] = []
        self._answered = threading.Semaphore(0)

    def answer(self, exchange: Exchange) -> None:
        self.asked.append(exchange.path)
        name = exchange.path.partition("?")[0].rpartition("/")[2]
        if self.status != 200 or name not in self.labels:
            exchange.json({"message": "no"}, status=self.status if self.status != 200 else 404)
        else:
            exchange.json({"metadata": {"name": name, "labels": self.labels[name]}})
        self._answered.release()

    def wait(self) -> None:
        assert self._answered.acquire(timeout=10)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


class Harness:
    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self._changes = threading.Semaphore(0)
        self.cache = NamespaceCache(
            config=ApiConfig(server=url), changed=self._changes.release, clock=self.clock
        )

    def wait(self) -> None:
        """Wait until labels have become known or have changed."""
        assert self._changes.acquire(timeout=10)


@pytest.fixture
def harness(cluster: Cluster) -> Iterator[Harness]:
    with server(cluster.answer) as url:
        yield Harness(url)


def test_labels_are_read_once_and_again_when_they_are_old(harness: Harness, cluster: Cluster) -> None:
    assert harness.cache.labels("shop") is None
    harness.wait()
    for _ in range(5):
        assert harness.cache.labels("shop") == {"team": "a"}
    assert cluster.asked == ["/api/v1/namespaces/shop?resourceVersion=0"]
    cluster.labels["shop"] = {"team": "b"}
    harness.clock.now += FRESH_SECONDS * 1.2 + 1
    assert harness.cache.labels("shop") == {"team": "a"}
    harness.wait()
    assert harness.cache.labels("shop") == {"team": "b"}


def test_known_labels_are_kept_while_the_api_server_refuses_and_are_read_again_soon(
    harness: Harness, cluster: Cluster
) -> None:
    harness.cache.labels("shop")
    harness.wait()
    cluster.status = 403
    harness.clock.now += FRESH_SECONDS * 1.2 + 1
    harness.cache.labels("shop")
    for _ in range(2):
        cluster.wait()
    assert harness.cache.labels("shop") == {"team": "a"}
    cluster.status, cluster.labels["shop"] = 200, {"team": "c"}
    harness.clock.now += FRESH_SECONDS * 1.2 + LONGEST_SECONDS
    harness.cache.labels("shop")
    harness.wait()
    assert harness.cache.labels("shop") == {"team": "c"}
