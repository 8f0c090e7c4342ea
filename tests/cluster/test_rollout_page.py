"""Every command of docs/roll-out-a-policy.md, in its order, against the real API server and controller; the
tests play the agents, also when they are asked for a plan."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError

import pytest

from tests.waiting import eventually

from .controller_harness import OOM_NODES, ROOT, Controller, Harness, controller, harness
from .test_controller_rollouts import NAMES, Agents

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

PAGE = ROOT / "docs" / "roll-out-a-policy.md"
ANNOTATION = "oomkeeper.dev/plan-request"
_COMMAND = re.compile(r"^\$ (.+?)(?:    # exits (\d+))?$", re.MULTILINE)


def commands() -> list[tuple[str, int]]:
    """Return the commands with their exit statuses."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [(line, int(status or 0)) for block in blocks for line, status in _COMMAND.findall(block)]


@contextmanager
def plans_answered(harness: Harness) -> Iterator[None]:
    """Answer every plan request: the change takes place, and nothing is refused."""
    stop = Event()

    def run() -> None:
        while not stop.wait(0.2):
            for obj in harness.list(OOM_NODES):
                text = obj["metadata"].get("annotations", {}).get(ANNOTATION)
                if text is None:
                    continue
                request = json.loads(text)
                sysctls = [
                    {"name": one["name"], "before": 8192, "after": one["value"], "policy": one["policy"]}
                    for one in request["spec"]["sysctls"]
                ]
                plan = {"id": request["id"], "expires": request["expires"], "sysctls": sysctls}
                path = f"{OOM_NODES}/{obj['metadata']['name']}/status"
                try:
                    harness.merge(path, {"status": {"plan": plan}})
                except HTTPError:
                    continue

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def environment(harness: Harness, tmp_path: Path) -> dict[str, str]:
    """With kubectl, and its plugin beside it."""
    plugin = tmp_path / "bin" / "kubectl-oom"
    plugin.parent.mkdir()
    run = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"
    plugin.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{run}' \"$@\"\n")
    plugin.chmod(0o755)
    (plugin.parent / "kubectl").symlink_to(harness.plane.kubectl_path)
    path = f"{plugin.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(harness.plane.kubeconfig)}


def test_every_command_of_the_page(
    harness: Harness, controller: Controller, environment: dict[str, str]
) -> None:
    assert controller
    for name in NAMES:
        harness.node(name, ready=True)
    eventually(lambda: len(harness.list(OOM_NODES)) == len(NAMES))
    listed = commands()
    assert len(listed) > 10
    with Agents(harness).running(), plans_answered(harness):
        for command, expected in listed:
            done = subprocess.run(
                command,
                shell=True,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
            )
            assert done.returncode == expected, (command, done.stdout, done.stderr)
            if " plan " in command:
                assert "8192 -\\> 131072" in done.stdout or "8192 -> 131072" in done.stdout, done.stdout
            if " rollout status " in command and "--no-watch" not in command:
                assert "Complete, 4/4 nodes have the values" in done.stdout, done.stdout
            if " undo " in command:
                assert "no earlier values" in done.stderr
