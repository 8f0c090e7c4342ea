"""The controller of a large cluster: memory, and a kill beside a policy edit. `python -m bench.scale`.

Real etcd, kube-apiserver and controller; this process plays the nodes and their agents on the wire (Nodes,
agents' pods, OOMNode statuses, incidents of realistic size). `--answer` has every agent report after the edit
too, as agents do.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oomkeeper.connection.config import ApiConfig
from oomkeeper.controller.apiclient import APIClient
from tests.testbed import ControlPlane, TestbedError, control_plane

ROOT = Path(__file__).resolve().parents[1]
OOM = "/apis/oomkeeper.dev/v1alpha1"
NAMESPACE = "oomkeeper-system"
API_VERSION = "oomkeeper.dev/v1alpha1"
AT_A_TIME = 24
"""Requests of this process under way."""
SECONDS = 900.0
"""A cold start of the largest size takes minutes on two cores."""
AS_IN_THE_IMAGE = (
    "import sys; sys.modules['kubernetes'] = None; from oomkeeper.cli.main import main; sys.exit(main())"
)
"""kopf imports the kubernetes client where it is installed (20 MiB); the image does not have it."""

Json = dict[str, Any]


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="The controller at scale.")
    parser.add_argument("--nodes", type=int, default=5000, help="default %(default)s")
    parser.add_argument("--incidents", type=int, default=10_000, help="default %(default)s")
    parser.add_argument("--policies", type=int, default=5, help="default %(default)s")
    parser.add_argument("--kills", type=int, default=5, help="kills during the edit (default %(default)s)")
    parser.add_argument("--answer", action="store_true", help="agents report after the edit too")
    args = parser.parse_args()
    return run(Scale, args, name="scale")


def run(kind: "type[Scale]", args: argparse.Namespace, *, name: str) -> int:
    """Measure on a control plane of its own; 0, also where there is none."""
    try:
        with control_plane(say=lambda text: print(f"  ({text})", flush=True)) as plane:
            plane.kubectl("apply", "-f", str(ROOT / "crds"))
            plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            plane.kubectl("create", "namespace", NAMESPACE)
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(kind(plane, Path(folder), args).measure())
    except TestbedError as error:
        print(f"{name}: skipped: {error}")
    return 0


class Scale:
    """One cluster of the size asked for."""

    def __init__(self, plane: ControlPlane, folder: Path, args: argparse.Namespace) -> None:
        config = ApiConfig(server=plane.url, ca_file=plane.ca_file, token=plane.token)
        self._api = APIClient(find_config=lambda: config)
        self._plane = plane
        self._folder = folder
        self._args = args
        self._nodes = [f"node-{number}" for number in range(args.nodes)]

    async def measure(self) -> None:
        """Fill the cluster, start the controller, edit a policy and kill."""
        try:
            await self._fill()
            with (self._folder / "controller.log").open("ab") as log:
                process = self._controller(log)
            try:
                await self._run(process)
            except BaseException:
                print((self._folder / "controller.log").read_text()[-4000:], file=sys.stderr)
                raise
            finally:
                process.terminate()
                process.wait(60)
        finally:
            await self._api.close()

    async def _fill(self) -> None:
        await self._each(self._nodes, self._make_node)
        await self._each(NAMESPACES, self._make_namespace)
        await self._each(range(self._args.incidents), self._make_incident)
        for number in range(self._args.policies):
            await self._put_policy(number, swappiness=None)

    def _controller(self, log: Any) -> subprocess.Popen[bytes]:
        most = str(2 * self._args.incidents + 1000)
        options = ["--namespace", NAMESPACE, "--agent-selector", "app=agent"]
        options += ["--incidents", most, "--incidents-per-namespace", most]
        command = [sys.executable, "-c", AS_IN_THE_IMAGE, "controller", "--kubeconfig"]
        return subprocess.Popen([*command, str(self._plane.kubeconfig), *options], stdout=log, stderr=log)

    async def _run(self, process: subprocess.Popen[bytes]) -> None:
        args = self._args
        print(f"{args.nodes} nodes, {args.incidents} incidents, {args.policies} policies:")
        began = time.monotonic()
        await self._await(lambda: self._written(60))
        print(f"cold start: every OOMNode written after {time.monotonic() - began:.0f} s, {_rss(process)}")
        await self._each(self._nodes, self._answer)
        await self._await(lambda: self._ready(args.nodes))
        print(f"every agent has answered: {_rss(process)}")
        await asyncio.sleep(20)
        await self._kill(args.incidents)
        print(f"a kill's Event, calm: {await self._event_after(args.incidents):.2f} s")

        began = time.monotonic()
        await self._put_policy(0, swappiness=45)
        waits = []
        for number in range(args.kills):
            await asyncio.sleep(1.0)
            await self._kill(args.incidents + 1 + number)
            waits.append(await self._event_after(args.incidents + 1 + number))
        # Only now: to list every OOMNode again and again is work for the API server and this process.
        waited = time.monotonic() - began
        print(f"a kill's Event beside the edit: {', '.join(f'{wait:.2f}' for wait in waits)} s")
        missing = await self._unwritten(45)
        print(f"after these {waited:.0f} s {missing} of {args.nodes} OOMNodes were not written yet")
        await self._await(lambda: self._written(45))
        print(f"the edit: every OOMNode written after {time.monotonic() - began:.0f} s, {_rss(process)}")
        if args.answer:
            await self._each(self._nodes, self._answer)
        await asyncio.sleep(10)
        before = _cpu_seconds(process.pid)
        await asyncio.sleep(20)
        print(f"at rest: {(_cpu_seconds(process.pid) - before) / 20:.1%} of a core, {_rss(process)}")

    async def _written(self, swappiness: int) -> bool:
        """Whether every OOMNode has the value."""
        return await self._unwritten(swappiness) == 0

    async def _unwritten(self, swappiness: int) -> int:
        """How many OOMNodes do not have the value."""
        missing = len(self._nodes)
        async for node in self._api.list(f"{OOM}/oomnodes"):
            values = {one["name"]: one["value"] for one in node.get("spec", {}).get("sysctls", ())}
            missing -= values.get("vm.swappiness") == swappiness
        return missing

    async def _ready(self, nodes: int) -> bool:
        policy = await self._api.get(f"{OOM}/oompolicies/policy-0")
        assert policy is not None
        return bool(policy.get("status", {}).get("nodes", {}).get("inSync") == nodes)

    async def _await(self, found: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + SECONDS
        while not await found():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {SECONDS:.0f} s")
            await asyncio.sleep(1.0)

    async def _event_after(self, number: int) -> float:
        """Return the seconds until the Event about this incident's pod is there."""
        began = time.monotonic()
        query = f"?fieldSelector=involvedObject.name=web-{number}"
        while time.monotonic() - began < SECONDS:
            answer = await self._api.get(f"/api/v1/namespaces/{_namespace(number)}/events{query}")
            if answer and answer["items"]:
                break
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    # What is in the cluster.

    async def _each(self, things: Iterable[Any], act: Callable[[Any], Awaitable[None]]) -> None:
        slots = asyncio.Semaphore(AT_A_TIME)

        async def one(thing: Any) -> None:
            async with slots:
                await act(thing)

        await asyncio.gather(*(one(thing) for thing in things))

    async def _make_node(self, name: str) -> None:
        labels = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name, "pool": "a"}
        body: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        await self._api.request("POST", "/api/v1/nodes", body=body)
        images = [{"names": [f"registry.example/image-{n}:v1"], "sizeBytes": 10**8} for n in range(40)]
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
        status = {"conditions": [ready], "images": images, "capacity": {"cpu": "8", "memory": "32Gi"}}
        await self._api.merge(f"/api/v1/nodes/{name}/status", {"status": status})
        pod: Json = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"agent-{name}", "labels": {"app": "agent"}},
            "spec": {"nodeName": name, "containers": [{"name": "agent", "image": "oomkeeper"}]},
        }
        await self._api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", body=pod)
        ready = {"type": "Ready", "status": "True"}
        await self._api.merge(
            f"/api/v1/namespaces/{NAMESPACE}/pods/agent-{name}/status",
            {"status": {"phase": "Running", "conditions": [ready]}},
        )

    async def _put_policy(self, number: int, *, swappiness: int | None) -> None:
        keys = ("vm.swappiness", "vm.oom_dump_tasks", "vm.overcommit_ratio", "vm.min_free_kbytes")
        values = dict.fromkeys(keys, 60) | {"vm.oom_dump_tasks": 1, "vm.min_free_kbytes": 67584}
        if swappiness is not None:
            values["vm.swappiness"] = swappiness
        key = keys[number % len(keys)]
        spec = {"priority": 100 - number, "sysctls": values if number == 0 else {key: values[key]}}
        name = f"policy-{number}"
        body = {"apiVersion": API_VERSION, "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec}
        await self._api.apply(f"{OOM}/oompolicies/{name}", body)

    async def _answer(self, name: str) -> None:
        path = f"{OOM}/oomnodes/{name}"
        node = await self._api.get(path)
        assert node is not None
        sysctls = [
            {
                "name": entry["name"],
                "desired": entry["value"],
                "actual": entry["value"],
                "original": entry["value"],
                "policy": entry["policy"],
                "mode": entry["mode"],
                "state": "InSync",
            }
            for entry in node["spec"].get("sysctls", ())
        ]
        counters = {"kernelKills": 2, "recorded": 2, "unattributed": 0, "lostLogRecords": 0}
        status = {
            "observedGeneration": node["metadata"]["generation"],
            "agentVersion": "0.1.0",
            "sysctls": sysctls,
            "counters": counters,
            "kernel": {"bootID": f"boot-of-{name}", "release": "6.12.0"},
        }
        await self._api.merge(f"{path}/status", {"status": status})

    async def _make_incident(self, number: int) -> None:
        await self._kill(number, at=datetime.now(UTC) - timedelta(hours=1 + number % 100))

    async def _kill(self, number: int, *, at: datetime | None = None) -> None:
        """An agent publishes an incident with its first kill, or with ten old ones (`at`)."""
        when = at or datetime.now(UTC)
        node = self._nodes[number % len(self._nodes)]
        namespace, name = _namespace(number), f"web-{number}-app-podlimit"
        head: Json = {
            "apiVersion": API_VERSION,
            "kind": "OOMIncident",
            "metadata": {"name": name, "namespace": namespace},
        }
        workload = {"kind": "Deployment", "name": f"web-{number}"}
        spec = {"nodeName": node, "cause": "ContainerLimit", "workload": workload, "container": "app"}
        path = f"{OOM}/namespaces/{namespace}/oomincidents"
        await self._api.request("POST", path, body={**head, "spec": spec})
        kills = [
            {
                "id": f"0f6d3c1e-7b1f-4f0e-9c38-a7de1f5cbb00-{number}{count}",
                "time": _stamp(when - timedelta(seconds=60 * count)),
                "pod": f"web-{number}",
                "podUID": f"2a1c6a1e-0000-4000-8000-{number:012d}",
                "containerID": f"{number:064x}",
                "victim": "java",
                "visibility": "Reported",
            }
            for count in range(1 if at is None else 10)
        ]
        hours = [when - timedelta(hours=back) for back in range(1 if at is None else 24)]
        history = [
            {"hour": _stamp(one.replace(minute=0, second=0, microsecond=0)), "kills": 1} for one in hours
        ]
        status = {
            "cause": "ContainerLimit",
            "level": "Pod",
            "count": len(history),
            "firstSeen": _stamp(hours[-1]),
            "lastSeen": _stamp(when),
            "summary": f"container app of pod web-{number} reached its memory limit of 512 MiB " + "x" * 120,
            "advice": [{"remedy": "FitLimit", "message": "set the limit to 640Mi " + "y" * 200}],
            "evidence": {"limitBytes": 512 << 20},
            "kills": kills,
            "history": history,
        }
        await self._api.merge(f"{path}/{name}/status", {"status": status})

    async def _make_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self._api.request("POST", "/api/v1/namespaces", body=body)


NAMESPACES = tuple(f"team-{number}" for number in range(100))


def _namespace(number: int) -> str:
    return NAMESPACES[number % len(NAMESPACES)]


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _rss(process: subprocess.Popen[bytes]) -> str:
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if ":" in line
    )
    now, peak = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return f"controller {now:.0f} MiB resident, {peak:.0f} at most"


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


if __name__ == "__main__":
    sys.exit(main())
