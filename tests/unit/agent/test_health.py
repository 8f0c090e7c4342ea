"""The probes prove that the loop runs, the log is read, and the state is written."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from oomkeeper.agent.health import STALLED_SECONDS, Health, HealthPortError, HealthServer


class Probes:
    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(clock=lambda: self.now)
        self.server = HealthServer(self.health, port=0, host="127.0.0.1")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode().strip()


@pytest.fixture
def probes() -> Iterator[Probes]:
    made = Probes()
    made.server.start()
    yield made
    made.server.stop()


def test_agent_is_live_and_not_ready_until_its_loop_has_run(probes: Probes) -> None:
    assert probes.get("/healthz") == (200, "ok")
    assert probes.get("/readyz") == (503, "the loop has not started")
    probes.health.beat(log_problem=None, state_problem=None)
    assert probes.get("/readyz") == (200, "ok")


def test_loop_that_hangs_fails_both_probes(probes: Probes) -> None:
    probes.health.beat(log_problem=None, state_problem=None)
    probes.now += STALLED_SECONDS
    for path in ("/healthz", "/readyz"):
        assert probes.get(path) == (503, "the loop has not run for 60 s")
    probes.health.beat(log_problem=None, state_problem=None)
    assert probes.get("/healthz") == (200, "ok")


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        (
            {"log_problem": "/dev/kmsg: no", "state_problem": None},
            "the kernel log is not read: /dev/kmsg: no",
        ),
        ({"log_problem": None, "state_problem": "full"}, "the state is not written to disk: full"),
    ],
)
def test_agent_of_no_full_use_is_not_ready_but_not_restarted(
    probes: Probes, problems: dict[str, str | None], said: str
) -> None:
    probes.health.beat(**problems)
    assert probes.get("/readyz") == (503, said)
    assert probes.get("/healthz") == (200, "ok")


def test_probe_writes_no_access_line(probes: Probes, capfd: pytest.CaptureFixture[str]) -> None:
    probes.get("/healthz")
    probes.get("/readyz")
    assert probes.get("/elsewhere")[0] == 404
    assert capfd.readouterr().err == ""


def test_port_that_is_taken_is_named(probes: Probes) -> None:
    with pytest.raises(HealthPortError, match=str(probes.server.port)):
        HealthServer(probes.health, port=probes.server.port, host="127.0.0.1")
