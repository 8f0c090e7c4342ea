"""SIGTERM ends the controller whenever it comes: also between its own signal handler and kopf's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.agent.kube_server import Answer, Exchange, server
from tests.waiting import eventually


def healthy(one: Exchange) -> None:
    path, _, query = one.path.partition("?")
    if "watch=true" in query:
        one.start(length=10**6)
        one.wait_until_closed()
    elif path == "/api":
        one.json({"versions": []})
    elif path == "/apis":
        one.json({"groups": []})
    else:
        one.json({"metadata": {"resourceVersion": "1"}, "items": []})


def kopf_gives_up(one: Exchange) -> None:
    if one.path.startswith(("/api?", "/apis?")) or one.path in ("/api", "/apis"):
        one.content_type = "text/html"
    healthy(one)


@pytest.mark.parametrize("delay_seconds", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("answer", [healthy, kopf_gives_up])
def test_sigterm_just_after_the_start_is_not_lost(
    tmp_path: Path, answer: Answer, delay_seconds: float
) -> None:
    kubeconfig, log = tmp_path / "kubeconfig", tmp_path / "log"
    with server(answer) as url:
        document = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "c", "user": {"token": "t"}}],
        }
        kubeconfig.write_text(json.dumps(document))
        command = [sys.executable, "-m", "oomkeeper", "controller", "--kubeconfig", str(kubeconfig)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stderr=output, cwd=tmp_path)
        try:
            eventually(lambda: b"controller started" in log.read_bytes(), interval_seconds=0.005)
            time.sleep(delay_seconds)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
    assert b"controller stopped" in log.read_bytes()
