"""The publisher's delays while the API server refuses everything."""

import threading
from pathlib import Path

import pytest

from oomkeeper.agent import publisher as publisher_module
from oomkeeper.agent.publisher import Publisher
from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import Backoff
from oomkeeper.resources.oomnode import OOMNodeStatus

from .kube_server import Exchange, server


class Recorded(Backoff):
    """Millisecond delays; records what the failures before each one were."""

    def __init__(self) -> None:
        super().__init__(first_seconds=0.001, longest_seconds=0.002)
        self.counts: list[int] = []

    def failed(self, *, retry_after_seconds: float = 0.0) -> float:
        delay = super().failed(retry_after_seconds=retry_after_seconds)
        self.counts.append(self.failures)
        return delay


def test_rounds_without_a_request_do_not_reset_the_delay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure the status is held back for a while: a round that sends nothing is no success."""
    backoff = Recorded()
    monkeypatch.setattr(publisher_module, "STATUS_INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(publisher_module, "Backoff", lambda: backoff)
    attempts = threading.Semaphore(0)
    answers = [503] * 6 + [200, 503]
    left = iter(answers)

    def answer(one: Exchange) -> None:
        one.json({}, status=next(left, 200))
        attempts.release()

    with server(answer) as url:
        publisher = Publisher(config=ApiConfig(server=url), state_dir=tmp_path, node="node-a")
        publisher.start()
        publisher.offer_status(OOMNodeStatus())
        for _ in range(7):
            assert attempts.acquire(timeout=10)
        publisher.forget_status()
        for _ in range(2):
            assert attempts.acquire(timeout=10)
        publisher.stop(wait_seconds=10)
    assert backoff.counts == [1, 2, 3, 4, 5, 6, 1]
