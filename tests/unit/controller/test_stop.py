"""SIGTERM ends the controller whenever it comes: also between its own signal handler and kopf's."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import kopf
import pytest

from oomkeeper.controller import app
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


class _Working:
    """A reconciler without anything to do."""

    async def run(self) -> None:
        await asyncio.Event().wait()


def test_kopf_that_does_not_end_by_itself_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the reconciler, as its cleanup does when a custom resource is gone, and then waits forever; the
    first cancellation it loses."""
    ended: list[str] = []

    async def watch(_: kopf.OperatorRegistry, **__: object) -> None:
        await asyncio.sleep(0)
        next(task for task in asyncio.all_tasks() if task.get_name() == "reconciler").cancel()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("lost")
        await asyncio.Event().wait()

    async def serve() -> None:
        await app._serve(
            _Working(),  # type: ignore[arg-type]
            stop=asyncio.Event(),
            options=app.Options(),
            config=lambda: pytest.fail("no request is made"),
        )

    monkeypatch.setattr(app, "_watch", watch)
    monkeypatch.setattr(app, "handlers", lambda *_, **__: kopf.OperatorRegistry())
    monkeypatch.setattr(app, "_KOPF_ENDS_SECONDS", 0.05)
    asyncio.run(asyncio.wait_for(serve(), 30))
    assert ended == ["lost"]
