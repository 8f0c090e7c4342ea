"""`oomkeeper agent` as a process, and pods whose processes the kernel kills."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.loglines import parse_log
from tests.testbed import ControlPlane
from tests.waiting import eventually

from .controller_harness import OOM, OOM_NODES, ROOT, Harness, Json, served

BUSYBOX = "oomkeeper.local/busybox:1"
OPERATOR_NAMESPACE = "oomkeeper-system"
MIB = 1 << 20

EAT = "exec tail /dev/zero"
"""One process that eats until it is killed: the container ends with it."""
EAT_IN_CHILD = "tail /dev/zero; sleep 100000"
"""A child that is killed, and a container that lives on."""


class Agent:
    """`oomkeeper agent` as a process, with a state folder and an /etc of its own."""

    def __init__(
        self, folder: Path, *, kubeconfig: Path, node: str, arguments: Sequence[str | Path] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.node = node
        self.state, self.etc, self._log_file = folder / "state", folder / "etc", folder / "agent.log"
        self.etc.mkdir(exist_ok=True)
        self._command = [sys.executable, "-m", "oomkeeper", "agent", "--kubeconfig", kubeconfig]
        self._command += ["--node-name", node, "--namespace", OPERATOR_NAMESPACE]
        self._command += ["--state-dir", self.state, "--etc", self.etc, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it has said so: kills from then on are its own."""
        before = self._log_file.stat().st_size if self._log_file.exists() else 0
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen([*map(str, self._command)], stdout=log, stderr=log)
        eventually(lambda: b"agent started" in self._log_file.read_bytes()[before:])

    @property
    def log(self) -> str:
        return self._log_file.read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def forget(self) -> None:
        """Lose the state, as a node does whose disk is new."""
        shutil.rmtree(self.state)

    def end(self) -> None:
        """Stop the agent and restore what it changed."""
        if self.running:
            self.kill()
        if self._log_file.exists():
            parse_log(self.log)
        if self.state.exists():
            command = [sys.executable, "-m", "oomkeeper", "node", "--restore"]
            command += ["--state-dir", str(self.state), "--etc", str(self.etc)]
            subprocess.run(command, check=True, capture_output=True)


def install(plane: ControlPlane) -> Harness:
    """The custom resources and the operator's namespace."""
    plane.kubectl("apply", "-f", str(ROOT / "crds"))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    namespace(plane, OPERATOR_NAMESPACE)
    harness = Harness(plane=plane)
    eventually(lambda: served(harness))
    return harness


def namespace(plane: ControlPlane, name: str) -> str:
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    plane.kubectl("apply", "-f", "-", input=json.dumps(document))
    return name


def container(name: str, script: str, *, limit: str | None = "24Mi") -> Json:
    made: Json = {
        "name": name,
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
    }
    if limit is not None:
        made["resources"] = {"limits": {"memory": limit}}
    return made


def pod(
    name: str,
    *containers: Json,
    init: Sequence[Json] = (),
    restart: str = "Never",
    labels: dict[str, str] | None = None,
) -> Json:
    spec: Json = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 0,
        "containers": [*containers],
    }
    if init:
        spec["initContainers"] = [*init]
    meta: Json = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def incidents(harness: Harness, namespace: str, *, pod: str | None = None) -> list[Json]:
    found = harness.list(f"{OOM}/namespaces/{namespace}/oomincidents")
    return [one for one in found if pod is None or last_pod(one) == pod]


def last_pod(incident: Json) -> str | None:
    """Name of the pod of the newest kill."""
    kills = incident.get("status", {}).get("kills") or [{}]
    return kills[0].get("pod")


def counted(harness: Harness, namespace: str, *, pod: str | None = None) -> int:
    """Kills in all incidents of a namespace or pod."""
    return sum(one.get("status", {}).get("count", 0) for one in incidents(harness, namespace, pod=pod))


def only_incident(harness: Harness, namespace: str, *, pod: str | None = None, **status: Any) -> Json:
    """The one incident there, as soon as its status holds these values."""

    def look() -> Json:
        found = incidents(harness, namespace, pod=pod)
        assert len(found) == 1, [each["metadata"]["name"] for each in found]
        [one] = found
        assert "status" in one
        for name, wanted in status.items():
            assert one["status"].get(name) == wanted, one["status"]
        return one

    return eventually(look, seconds=60)


def node_status(harness: Harness, node: str) -> Json:
    return harness.status(f"{OOM_NODES}/{node}")


@contextlib.contextmanager
def api_server_frozen(plane: ControlPlane) -> Iterator[None]:
    """The API server answers nothing within the block, and goes on after it."""
    pid, _ = api_server(plane)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def api_server(plane: ControlPlane) -> tuple[int, list[str]]:
    """Return pid and command line of the control plane's API server."""
    port = plane.url.rpartition(":")[2]
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if arguments[0].endswith("kube-apiserver") and f"--secure-port={port}" in arguments:
                return int(folder.name), arguments
    raise AssertionError(f"no kube-apiserver at port {port}")


@contextlib.contextmanager
def running(agent: Agent, harness: Harness) -> Iterator[Agent]:
    """Run the agent for an OOMNode of its own; it must end well."""
    path = f"{OOM_NODES}/{agent.node}"
    harness.apply(
        path,
        {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMNode",
            "metadata": {"name": agent.node},
            "spec": {},
        },
    )
    agent.start()
    try:
        yield agent
        assert agent.stop() == 0
        assert "Traceback" not in agent.log, agent.log
    finally:
        agent.end()
        harness.delete(path)
