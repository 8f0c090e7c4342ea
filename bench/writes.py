"""Requests to the API server in a storm of kills: `python -m bench.writes` (root; starts a real node).

pod        295 kills of one pod's children without a pause
policies   20 kills a second of one pod's children for 15 s, on a node that five policies select
job        80 pods of one Job, each killed once

`oomkeeper agent` and `oomkeeper controller` run on this machine, against a real API server and a real
kubelet; an OOMReport is there in every storm. The writes are counted by the API server itself
(apiserver_request_total), from before the first kill until 65 s after the last one is counted, when every
interval is over: those of oomkeeper's own resources, which nothing else writes, and server-side applies of
Events, which nothing else does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from oomkeeper.agent.clock import parse_rfc3339
from tests.api_writes import oomkeeper_writes
from tests.testbed import NativeNode, TestbedError

from .agent_node import INCIDENTS, NAMESPACE, ROOT, Json, apply, await_until, cluster, get, pod

OOM = "oomkeeper.dev/v1alpha1"
STORMS = ("pod", "job", "policies")
POD_KILLS, POLICY_KILLS, JOB_KILLS, POLICIES = 295, 300, 80, 5
SETTLED_SECONDS = 65.0
"""Longer than the longest interval, an Event series' 60 s."""
START_SECONDS = 15.0
"""For the first statuses, which are no storm's."""
LONGEST_SECONDS = 240.0
"""For the kills of one storm."""


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.writes", description="Writes in a storm of kills.")
    parser.add_argument(
        "--code", type=Path, default=ROOT, metavar="DIR", help="checkout to be measured (default: this one)"
    )
    parser.add_argument("--only", choices=STORMS, help="one storm (default: all)")
    args = parser.parse_args()
    try:
        with (
            cluster(crds=args.code / "crds") as node,
            tempfile.TemporaryDirectory() as folder,
            _operator(node, code=args.code.resolve(), folder=Path(folder)),
        ):
            _measure(node, storms=[args.only] if args.only else STORMS)
    except TestbedError as error:
        print(f"writes: skipped: {error}")
    return 0


@contextmanager
def _operator(node: NativeNode, *, code: Path, folder: Path) -> Iterator[None]:
    common = ["--namespace", NAMESPACE, "--kubeconfig", str(node.control_plane.kubeconfig)]
    agent = ["agent", "--node-name", node.name, "--state-dir", str(folder / "state"), *common]
    environment = os.environ | {"PYTHONPATH": str(code / "operator")}
    with ExitStack() as stack:
        for arguments in (["controller", *common], agent):
            log = stack.enter_context((folder / f"{arguments[0]}.log").open("wb"))
            command = [sys.executable, "-m", "oomkeeper", *arguments]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        yield


def _measure(node: NativeNode, *, storms: Sequence[str]) -> None:
    path = f"/apis/{OOM}/oomnodes/{node.name}"
    await_until(lambda: "status" in get(node, path), seconds=60, what="the agent's first status")
    apply(node, {"apiVersion": OOM, "kind": "OOMReport", "metadata": {"name": "day"}, "spec": {}})
    print(f"{os.uname().release}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
    time.sleep(START_SECONDS)
    if "pod" in storms:
        _storm(node, "pod", _children("pod", POD_KILLS, pause_seconds=0), kills=POD_KILLS)
    if "job" in storms:
        _storm(node, "job", _job(JOB_KILLS), kills=JOB_KILLS)
    if "policies" in storms:
        _add_policies(node)
        storm = _children("policies", POLICY_KILLS, pause_seconds=0.02)
        _storm(node, f"{POLICIES} policies", storm, kills=POLICY_KILLS)


def _add_policies(node: NativeNode) -> None:
    for number in range(POLICIES):
        spec: Json = {"mode": "Audit", "priority": number, "sysctls": {"vm.oom_dump_tasks": 1}}
        meta = {"name": f"policy-{number}"}
        apply(node, {"apiVersion": OOM, "kind": "OOMPolicy", "metadata": meta, "spec": spec})
    time.sleep(START_SECONDS)


def _children(name: str, kills: int, *, pause_seconds: float) -> Json:
    """A pod that lives on while its children are killed one after the other. The wait at its start is the
    kernel's rate limit of the storm before."""
    pause = f"sleep {pause_seconds}; " if pause_seconds else ""
    loop = f"i=0; while [ $i -lt {kills} ]; do tail /dev/zero; {pause}i=$((i+1)); done"
    return pod(name, f"sleep 6; {loop}; sleep 100000", limit="12Mi", cpu="700m")


def _job(pods: int) -> Json:
    """A Job of pods that are killed once each; none is started again."""
    template = pod("unused", "sleep 1; exec tail /dev/zero", limit="12Mi", cpu="50m")["spec"]
    spec: Json = {
        "completionMode": "Indexed",
        "completions": pods,
        "parallelism": 10,
        "backoffLimitPerIndex": 0,
        "template": {"spec": template},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": spec}


def _storm(node: NativeNode, name: str, obj: Json, *, kills: int) -> None:
    old = {one["metadata"]["name"] for one in _incidents(node)}
    before = _writes(node)
    apply(node, obj)
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        new = [one["status"] for one in _incidents(node) if one["metadata"]["name"] not in old]
        counted = sum(status["count"] for status in new)
        if counted >= kills or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    time.sleep(SETTLED_SECONDS)
    writes = _writes(node) - before
    times = [parse_rfc3339(status[key]) for status in new for key in ("firstSeen", "lastSeen")]
    seconds = max(times, default=0.0) - min(times, default=0.0)
    print(
        f"{name}: {counted} of {kills} kills in {seconds:.1f} s counted in {len(new)} incidents, "
        f"{writes.total()} writes: {', '.join(f'{count} {one}' for one, count in writes.most_common())}",
        flush=True,
    )


def _incidents(node: NativeNode) -> list[Json]:
    """Those of the pods that have a status."""
    items: list[Json] = get(node, INCIDENTS)["items"]
    return [one for one in items if one["metadata"]["namespace"] == "default" and "status" in one]


def _writes(node: NativeNode) -> Counter[str]:
    """Return the writes of oomkeeper that the API server has counted since its start."""
    return oomkeeper_writes(node.kubectl("get", "--raw", "/metrics"))


if __name__ == "__main__":
    sys.exit(main())
