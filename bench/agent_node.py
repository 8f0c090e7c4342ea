"""What the benches of the agent share: a real node, pods whose processes are killed, two watches."""

import contextlib
import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oomkeeper.agent.kube.client import ApiClient, ApiConfig, ApiError, decode_object
from oomkeeper.agent.kube.reflector import Reflector
from oomkeeper.kernel.facts import read_node_facts
from oomkeeper.kernel.kmsg import KmsgReader
from oomkeeper.kernel.report.killline import parse_killed
from tests.testbed import NativeNode, native_node

ROOT = Path(__file__).resolve().parents[1]
INCIDENTS = "/apis/oomkeeper.dev/v1alpha1/oomincidents"
NAMESPACE = "oomkeeper-system"
IMAGE = "oomkeeper.local/busybox:1"

Json = dict[str, Any]


@contextlib.contextmanager
def cluster(*, crds: Path = ROOT / "crds") -> Iterator[NativeNode]:
    """A node with the custom resources. Raises TestbedError where this machine cannot have one."""
    with native_node(name="node-a", say=lambda text: print(f"  ({text})", flush=True)) as node:
        node.kubectl("apply", "-f", str(crds))
        node.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        apply(node, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        oom_node = {"kind": "OOMNode", "metadata": {"name": node.name}, "spec": {}}
        apply(node, {"apiVersion": "oomkeeper.dev/v1alpha1", **oom_node})
        yield node


def apply(node: NativeNode, obj: Json) -> None:
    node.kubectl("apply", "-f", "-", input=json.dumps(obj))


def api_config(node: NativeNode) -> ApiConfig:
    plane = node.control_plane
    return ApiConfig(server=plane.url, ca_file=plane.ca_file, token=plane.token)


def pod(name: str, script: str, *, limit: str = "24Mi", cpu: str | None = None) -> Json:
    """A pod of one container. `cpu`: its request, without which a loaded machine leaves it little."""
    container: Json = {
        "name": "app",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "resources": {"limits": {"memory": limit}},
    }
    if cpu is not None:
        container["resources"]["requests"] = {"cpu": cpu}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def children(kills: int, *, pause_seconds: float) -> str:
    """A shell that lives on while its children are killed one after the other."""
    loop = f"i=0; while [ $i -lt {kills} ]; do tail /dev/zero; sleep {pause_seconds}; i=$((i+1)); done"
    return f"sleep 3; {loop}; sleep 100000"


class Sightings:
    """When each kill id was first seen in a watch of the incidents, and each pod as OOMKilled in one of the
    pods: seconds of CLOCK_MONOTONIC."""

    def __init__(self, config: ApiConfig) -> None:
        self.kills: dict[str, float] = {}
        self.first: set[str] = set()
        """Kills that made their incident."""
        self.pod_of: dict[str, str] = {}
        """Kill id -> pod uid."""
        self.pods: dict[str, float] = {}
        self._lock = threading.Lock()
        self._reflectors = [
            Reflector(
                config=config, path=path, query={}, decode=decode_object, listed=_nothing, changed=changed
            )
            for path, changed in ((INCIDENTS, self._incident), ("/api/v1/pods", self._pod))
        ]
        for reflector in self._reflectors:
            reflector.start()

    def stop(self) -> None:
        for reflector in self._reflectors:
            reflector.stop()

    def _incident(self, _kind: str, incident: Json) -> None:
        now = time.monotonic()
        status = incident.get("status") or {}
        with self._lock:
            for kill in status.get("kills", []):
                if kill["id"] not in self.kills:
                    self.kills[kill["id"]] = now
                    self.pod_of[kill["id"]] = kill.get("podUID", "")
                    if status["count"] == 1:
                        self.first.add(kill["id"])

    def _pod(self, _kind: str, obj: Json) -> None:
        now = time.monotonic()
        for status in (obj.get("status") or {}).get("containerStatuses") or []:
            terminated = status.get("state", {}).get("terminated") or {}
            if terminated.get("reason") == "OOMKilled":
                with self._lock:
                    self.pods.setdefault(obj["metadata"]["uid"], now)


def _nothing(_items: list[Json]) -> None:
    return


class KernelKills(threading.Thread):
    """The kernel's own stamp of each `Killed process` record, by kill id, as CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._reader = KmsgReader()
        self._boot_id = read_node_facts().boot_id
        self._first_offset = self._offset()
        self._stamps: dict[str, float] = {}
        self.pids: dict[str, int] = {}
        """Kill id -> the victim's pid."""
        self._stopping = False
        self.start()

    def run(self) -> None:
        # Read as it comes: the ring holds only the last reports.
        while not self._stopping:
            select.select([self._reader], [], [], 0.5)
            for record in self._reader.read_available():
                if record.kernel and b"Killed process" in record.text:
                    kill = f"{self._boot_id}-{record.seq}"
                    self._stamps[kill] = (record.usec or 0) / 1e6
                    if (victim := parse_killed(record.text)) is not None:
                        self.pids[kill] = victim.pid

    def stop(self) -> dict[str, float]:
        """All since the start. printk's clock and CLOCK_MONOTONIC drift apart: the distance is measured at
        both ends."""
        self._stopping = True
        self.join()
        offset = (self._first_offset + self._offset()) / 2
        return {kill: stamp + offset for kill, stamp in self._stamps.items()}

    def _offset(self) -> float:
        """Seconds that CLOCK_MONOTONIC is ahead of printk's clock, from a line of our own: the tightest of
        ten."""
        tries = []
        for number in range(10):
            reader = KmsgReader()
            mark = f"oomkeeper bench mark {time.monotonic_ns()} {number}"
            before = time.monotonic()
            with open("/dev/kmsg", "w") as log:
                log.write(f"<7>{mark}\n")
            after = time.monotonic()
            stamp = next(one.usec for one in reader.read_available() if one.text.startswith(mark.encode()))
            reader.close()
            tries.append((after - before, (before + after) / 2 - (stamp or 0) / 1e6))
        return min(tries)[1]


def await_until(done: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Raises SystemExit where it does not come about."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)


def get(node: NativeNode, path: str) -> Json:
    """Raises ApiError."""
    client = ApiClient(api_config(node))
    try:
        return client.get(path)
    finally:
        client.close()


__all__ = [
    "INCIDENTS",
    "NAMESPACE",
    "ApiClient",
    "ApiConfig",
    "ApiError",
    "Json",
    "KernelKills",
    "Sightings",
    "api_config",
    "apply",
    "await_until",
    "children",
    "cluster",
    "get",
    "pod",
]
