"""A control plane for the controller, the controller as a process, and a stand-in for the agents.

Its own, because the controller acts on the whole cluster: it would take away what other tests leave lying
about.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.loglines import parse_log
from tests.testbed import ControlPlane
from tests.testbed import control_plane as run_control_plane
from tests.testbed.cache import Say
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
OOM = "/apis/oomkeeper.dev/v1alpha1"
POLICIES, OOM_NODES, REPORTS = f"{OOM}/oompolicies", f"{OOM}/oomnodes", f"{OOM}/oomreports"
NODES = "/api/v1/nodes"

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Harness:
    """The API server, by plain HTTP."""

    plane: ControlPlane

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """Raises urllib.error.HTTPError."""
        request = urllib.request.Request(
            self.plane.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.plane.token}", "Content-Type": content_type},
        )
        context = ssl.create_default_context(cafile=str(self.plane.ca_file))
        with urllib.request.urlopen(request, context=context) as response:
            return json.load(response)  # type: ignore[no-any-return]

    def get(self, path: str) -> Json:
        return self.request("GET", path)

    def find(self, path: str) -> Json | None:
        """The object, None where there is none."""
        try:
            return self.get(path)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def list(self, path: str) -> list[Json]:
        return self.get(path)["items"]  # type: ignore[no-any-return]

    def apply(self, path: str, obj: Json, *, manager: str = "tests") -> Json:
        return self.request(
            "PATCH", f"{path}?fieldManager={manager}&force=true", obj, "application/apply-patch+yaml"
        )

    def merge(self, path: str, patch: Json) -> Json:
        return self.request("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, path: str) -> None:
        self.request("DELETE", path)

    def wipe(self) -> None:
        """Nothing of a test stays for the next."""
        for path in (
            POLICIES,
            REPORTS,
            f"{OOM}/namespaces/default/oomincidents",
            f"{OOM}/namespaces/default/containerkills",
            OOM_NODES,
            NODES,
            "/api/v1/namespaces/default/events",
        ):
            self.delete(path)

    # What people do.

    def node(
        self,
        name: str,
        *,
        boot_id: str | None = None,
        ready: bool | None = None,
        os: str = "linux",
        **labels: str,
    ) -> Json:
        self.apply(
            f"{NODES}/{name}",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/os": os, **labels}},
            },
        )
        status: Json = {}
        if boot_id:
            status["nodeInfo"] = {"bootID": boot_id, "operatingSystem": os} | dict.fromkeys(
                (
                    "machineID",
                    "systemUUID",
                    "kernelVersion",
                    "osImage",
                    "containerRuntimeVersion",
                    "kubeletVersion",
                    "kubeProxyVersion",
                    "architecture",
                ),
                "",
            )
        if ready is not None:
            status["conditions"] = [{"type": "Ready", "status": str(ready), "reason": "Test", "message": ""}]
        return self.merge(f"{NODES}/{name}/status", {"status": status})

    def policy(self, name: str, **spec: Any) -> Json:
        return self.apply(
            f"{POLICIES}/{name}",
            {
                "apiVersion": "oomkeeper.dev/v1alpha1",
                "kind": "OOMPolicy",
                "metadata": {"name": name},
                "spec": spec,
            },
        )

    def report(self, name: str, **spec: Any) -> Json:
        return self.apply(
            f"{REPORTS}/{name}",
            {
                "apiVersion": "oomkeeper.dev/v1alpha1",
                "kind": "OOMReport",
                "metadata": {"name": name},
                "spec": spec,
            },
        )

    # What agents do.

    def answer(self, node: str, *, boot_id: str | None = None, unattributed: int = 0, **states: str) -> None:
        """The agent of `node` reports every desired sysctl and adjustment as InSync, or as `states` (by the
        key's last part, or the entry's name) says."""
        current = self.get(f"{OOM_NODES}/{node}")
        reports = []
        for entry in current["spec"].get("sysctls", []):
            state = states.get(entry["name"].rpartition(".")[2], "InSync")
            reports.append(
                {
                    "name": entry["name"],
                    "desired": entry["value"],
                    "policy": entry["policy"],
                    "mode": entry["mode"],
                    "actual": entry["value"] if state == "InSync" else entry["value"] + 1,
                    "state": state,
                }
            )
        status: Json = {
            "observedGeneration": current["metadata"]["generation"],
            "agentVersion": "0.1.0",
            "sysctls": reports,
            "oomScoreAdjustments": [
                {
                    "policy": entry["policy"],
                    "name": entry["name"],
                    "value": entry["value"],
                    "mode": entry["mode"],
                    "state": states.get(entry["name"], "InSync"),
                    "inForce": 2,
                    **({"failed": 3, "reason": "Test"} if states.get(entry["name"]) == "Refused" else {}),
                }
                for entry in current["spec"].get("oomScoreAdjustments", [])
            ],
            "counters": {
                "kernelKills": unattributed,
                "recorded": 0,
                "unattributed": unattributed,
                "lostLogRecords": 0,
                "since": stamp(datetime.now(UTC) - timedelta(days=30)),
            },
        }
        if boot_id:
            status["kernel"] = {"bootID": boot_id}
        self.apply(
            f"{OOM_NODES}/{node}/status",
            {
                "apiVersion": "oomkeeper.dev/v1alpha1",
                "kind": "OOMNode",
                "metadata": {"name": node},
                "status": status,
            },
            manager="oomkeeper-agent",
        )

    def kill(
        self,
        name: str,
        *,
        node: str,
        count: int = 1,
        pod: str | None = "web-1",
        pod_uid: str | None = None,
        workload: str = "web",
        workload_uid: str | None = None,
        container_kind: str = "Container",
        survived: bool | None = None,
        age: timedelta = timedelta(),
        cause: str = "PodLimit",
    ) -> Json:
        """The agent of `node` writes an incident with `count` kills, the last of them `age` ago."""
        identity = {"workload": {"apiVersion": "apps/v1", "uid": workload_uid}} if workload_uid else {}
        lives = {} if survived is None else {"containerSurvived": survived}
        path = f"{OOM}/namespaces/default/oomincidents/{name}"
        subject: Json = {"nodeName": node, "cause": cause}
        if pod:
            subject |= {
                "workload": {"kind": "Deployment", "name": workload},
                "container": "app",
            }
        else:
            subject |= {"cgroup": "/system.slice/big.service"}
        last = datetime.now(UTC) - age
        head = {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMIncident",
            "metadata": {"name": name, "namespace": "default"},
        }
        self.apply(path, head | {"spec": subject}, manager="oomkeeper-agent")
        hour = last.replace(minute=0, second=0, microsecond=0)
        return self.apply(
            f"{path}/status",
            head
            | {
                "status": {
                    **identity,
                    "containerKind": container_kind,
                    "cause": cause,
                    "count": count,
                    "firstSeen": stamp(last),
                    "lastSeen": stamp(last),
                    "summary": f"{name} was killed {count} times",
                    "advice": [{"remedy": "FitLimit", "message": "set the limit to 512Mi"}],
                    "evidence": {"limitBytes": 41943040},
                    "kills": [
                        {"id": f"boot-{number}", "time": stamp(last), **lives}
                        | ({"pod": pod, "podUID": pod_uid or f"uid-of-{pod}"} if pod else {})
                        for number in range(min(count, 10))
                    ],
                    "history": [{"hour": stamp(hour), "kills": count}],
                }
            },
            manager="oomkeeper-agent",
        )

    def container_killed(self, name: str, *, node: str, age: timedelta = timedelta()) -> None:
        """The agent of `node` writes a ContainerKill whose last end was `age` ago."""
        path = f"{OOM}/namespaces/default/containerkills/{name}"
        head = {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "ContainerKill",
            "metadata": {"name": name, "namespace": "default"},
        }
        workload = {"kind": "Deployment", "name": "web"}
        spec = {"nodeName": node, "workload": workload, "container": "app", "killer": "Probe"}
        self.apply(path, head | {"spec": spec}, manager="oomkeeper-agent")
        status = {"count": 1, "lastSeen": stamp(datetime.now(UTC) - age)}
        self.apply(f"{path}/status", head | {"status": status}, manager="oomkeeper-agent")

    # What the controller did.

    def sysctls(self, node: str) -> dict[str, tuple[int, str]]:
        """OOMNode.spec.sysctls: name -> (value, policy). Raises AssertionError while there is no such
        object."""
        found = self.find(f"{OOM_NODES}/{node}")
        assert found is not None, f"no OOMNode {node}"
        return {
            entry["name"]: (entry["value"], entry["policy"]) for entry in found["spec"].get("sysctls", [])
        }

    def adjustments(self, node: str) -> list[tuple[str, str, int]]:
        """OOMNode.spec.oomScoreAdjustments in its order: (policy, name, value). Raises AssertionError while
        there is no such object."""
        found = self.find(f"{OOM_NODES}/{node}")
        assert found is not None, f"no OOMNode {node}"
        return [
            (entry["policy"], entry["name"], entry["value"])
            for entry in found["spec"].get("oomScoreAdjustments", [])
        ]

    def status(self, path: str) -> Json:
        return self.get(path).get("status", {})  # type: ignore[no-any-return]

    def conditions(self, path: str) -> dict[str, tuple[str, str]]:
        """type -> (status, reason)."""
        return {
            condition["type"]: (condition["status"], condition["reason"])
            for condition in self.status(path)["conditions"]
        }

    def events(self) -> list[Json]:
        """Return the Events about kills."""
        return [
            event
            for event in self.list("/api/v1/namespaces/default/events")
            if event["reportingComponent"] == "oomkeeper" and event["reason"].startswith("OOM")
        ]


def served(harness: Harness) -> bool:
    """A CRD is Established a moment before its paths answer."""
    kinds = ("oompolicies", "oomnodes", "oomreports", "oomincidents")
    return all(harness.find(f"{OOM}/{kind}") is not None for kind in kinds)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Controller:
    """`oomkeeper controller` as a process."""

    def __init__(self, *, kubeconfig: Path, log: Path, arguments: tuple[str, ...] = ()) -> None:
        self._command = [
            sys.executable,
            "-m",
            "oomkeeper",
            "controller",
            "--kubeconfig",
            str(kubeconfig),
            *arguments,
        ]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._log.parent)

    @property
    def log(self) -> str:
        return self._log.read_text()

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
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code. Raises ValueError for a log line that cannot be parsed."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(60)
        parse_log(self.log)
        return code

    def end(self) -> None:
        """Whatever became of it, it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._log.exists():
            parse_log(self.log)


class Line:
    """The network between the controller and the API server, which can be cut: a TCP proxy on loopback."""

    def __init__(self, *, port: int) -> None:
        self._target = port
        self._up = True
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection breaks, and each new one too."""
        self._up = False
        self._break()

    def mend(self) -> None:
        self._up = True

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _break(self) -> None:
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            if not self._up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open |= {near, far}
            if not self._up:  # cut in the meantime
                self._break()
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        self._open -= {source, sink}
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


_shared: list[Harness] = []
"""The one of this session: each test module that imports the fixture has, to pytest, a fixture of its own."""


@pytest.fixture(scope="session")
def harness(testbed_say: Say) -> Iterator[Harness]:
    """An API server with the custom resources."""
    if _shared:
        yield _shared[0]
        return
    with run_control_plane(say=testbed_say) as plane:
        plane.kubectl("apply", "-f", str(ROOT / "crds"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        _shared.append(Harness(plane=plane))
        eventually(lambda: served(_shared[0]))
        yield _shared[0]
        _shared.clear()


@contextlib.contextmanager
def running_controller(harness: Harness, folder: Path, *arguments: str) -> Iterator[Controller]:
    """A controller with these arguments, which must survive the test; nothing of the test stays."""
    process = Controller(
        kubeconfig=harness.plane.kubeconfig, log=folder / "controller.log", arguments=arguments
    )
    process.start()
    try:
        yield process
        assert process.running, process.log
        assert "Traceback" not in process.log, process.log
    finally:
        process.end()
        harness.wipe()


@pytest.fixture
def controller(harness: Harness, tmp_path: Path) -> Iterator[Controller]:
    """Running, on an empty cluster."""
    with running_controller(harness, tmp_path, "--log-level", "debug") as process:
        yield process
