"""What the kernel's trace costs the agent, with and without it in one run: `python -m bench.tracing` (root).

`oomkeeper agent` runs as a process of this machine, on a node with a real kubelet, under four loads: nothing;
forks on the node; SIGKILLs in a container; OOM kills in two cgroups. Without the trace means that the bench
holds the agent's instances of tracefs, as another agent would.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from oomkeeper.kernel.tracefs.instance import remove_instance
from tests.kernel.harness import MIB, Cgroup, Eater, cgroups, private_mib
from tests.testbed import NativeNode, TestbedError

from .agent_node import NAMESPACE, Json, apply, await_until, cluster, get, pod
from .storms import INSTANCES, cpu_seconds, held, tracefs

POD = "signals"
START_SECONDS = 12.0
"""For what the agent does once."""
PAUSE_SECONDS = 3.0
"""Between two loads."""
LOADS = ("idle", "forks", "signals", "oom kills")


class Cost(NamedTuple):
    """Of the agent, under one load."""

    cpu_ms_per_second: float
    private_mib: float
    """At the end."""
    made: int
    """Forks, signals or kills."""


def main(arguments: Sequence[str] = ()) -> int:
    """Print one line per load and mode."""
    parser = argparse.ArgumentParser(prog="python -m bench.tracing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each load (20)")
    options = parser.parse_args(arguments)
    try:
        with cluster() as node, tracefs() as root, cgroups() as top:
            apply(node, signal_pod())
            await_until(lambda: _phase(node) == "Running", seconds=120, what="the pod")
            print(f"{os.uname().release}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
            for traced in (True, False):
                with contextlib.nullcontext() if traced else held(root), agent(node) as pid:
                    for load in LOADS:
                        cost = measure(pid, _maker(load, node, top), seconds=options.seconds)
                        _show(load, cost, traced=traced, seconds=options.seconds)
                for name in INSTANCES:
                    remove_instance(root, name)
    except TestbedError as error:
        print(f"tracing: skipped: {error}")
    return 0


def _show(load: str, cost: Cost, *, traced: bool, seconds: float) -> None:
    made = f" ({cost.made / seconds:.0f} a second)" if cost.made else ""
    print(
        f"{load}{made}, {'with' if traced else 'without'} trace: {cost.cpu_ms_per_second:.1f} ms of CPU a "
        f"second, {cost.private_mib:.1f} MiB private",
        flush=True,
    )


def signal_pod() -> Json:
    """A pod that kills a process of its own as often as its file says."""
    script = (
        "while true; do if [ -e /tmp/go ]; then sleep 1000 & kill -9 $!; wait $! 2>/dev/null; "
        "echo x >> /tmp/made; sleep 0.05; else sleep 0.2; fi; done"
    )
    return pod(POD, script, limit="64Mi")


def _phase(node: NativeNode) -> str:
    status: Json = get(node, f"/api/v1/namespaces/default/pods/{POD}").get("status", {})
    return str(status.get("phase"))


@contextlib.contextmanager
def agent(node: NativeNode) -> Iterator[int]:
    """Run an agent with a state of its own; gives its pid."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        command = [sys.executable, "-m", "oomkeeper", "agent", "--node-name", node.name]
        command += ["--namespace", NAMESPACE, "--kubeconfig", str(node.control_plane.kubeconfig)]
        command += ["--state-dir", f"{folder}/state", "--etc", folder]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            time.sleep(START_SECONDS)
            yield process.pid
        finally:
            process.terminate()
            process.wait(30)


def measure(pid: int, maker: Callable[[float], int], *, seconds: float) -> Cost:
    """Measure the agent while `maker` works, for so many seconds."""
    time.sleep(PAUSE_SECONDS)
    cpu, began = cpu_seconds(pid), time.monotonic()
    made = maker(began + seconds)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    took = time.monotonic() - began
    used = cpu_seconds(pid) - cpu
    return Cost(used * 1000 / took, private_mib(pid), made)


def _maker(load: str, node: NativeNode, top: Cgroup) -> Callable[[float], int]:
    """Return what makes a load until a time of CLOCK_MONOTONIC, and returns how much it made."""
    return {
        "idle": lambda _until: 0,
        "forks": _forks,
        "signals": lambda until: _signals(node, until),
        "oom kills": lambda until: _oom_kills(top, until),
    }[load]


def _forks(until: float) -> int:
    made = 0
    while time.monotonic() < until:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        made += 1
        time.sleep(0.002)
    return made


def _signals(node: NativeNode, until: float) -> int:
    node.kubectl("exec", POD, "--", "sh", "-c", "rm -f /tmp/made; touch /tmp/go")
    time.sleep(max(0.0, until - time.monotonic()))
    return int(node.kubectl("exec", POD, "--", "sh", "-c", "rm /tmp/go; wc -l < /tmp/made"))


def _oom_kills(top: Cgroup, until: float) -> int:
    pair = [top.child(f"{name}-{until:.0f}", limit_bytes=4 * MIB) for name in ("one", "two")]
    maker, made = Eater(name="maker"), 0
    try:
        while time.monotonic() < until:
            made += len(maker.do("storm", procs=[one.procs for one in pair], count=2, bytes=8 * MIB))
            time.sleep(0.1)
    finally:
        maker.end()
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
