"""From the kernel's kill to the incident in a watch: `python -m bench.latency` (root; brings up a real node).

repeated   kills of pods' children, each one more in a known incident that was not written within its
           interval
first      the first kill of a pod: an incident that was not there before
kubelet    its own OOMKilled status of the pods of `first`, in the same run: the yardstick
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from oomkeeper.agent.publisher import INCIDENT_INTERVAL_SECONDS
from oomkeeper.agent.visibility import STATUS_SECONDS
from tests.testbed import NativeNode, TestbedError

from .agent_node import (
    NAMESPACE,
    KernelKills,
    Sightings,
    api_config,
    apply,
    await_until,
    children,
    cluster,
    pod,
)

REPEATED_PODS = 10
PAUSE_SECONDS = STATUS_SECONDS + INCIDENT_INTERVAL_SECONDS + 2.0
"""After the write of a kill, that of its visibility and the interval of that."""


def main() -> int:
    """Print the figures; exit 0 whatever they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description="Kill to incident.")
    parser.add_argument(
        "--kills", type=int, default=5, help="kills of each repeated pod (default %(default)s)"
    )
    parser.add_argument("--pods", type=int, default=25, help="first kills (default %(default)s)")
    args = parser.parse_args()
    try:
        with cluster() as node, tempfile.TemporaryDirectory() as folder:
            _measure(node, folder=Path(folder), kills=args.kills, pods=args.pods)
    except TestbedError as error:
        print(f"latency: skipped: {error}")
    return 0


def _measure(node: NativeNode, *, folder: Path, kills: int, pods: int) -> None:
    command = [sys.executable, "-m", "oomkeeper", "agent", "--node-name", node.name, "--namespace", NAMESPACE]
    command += ["--kubeconfig", str(node.control_plane.kubeconfig), "--state-dir", str(folder / "state")]
    with (folder / "agent.log").open("wb") as log:
        agent = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        time.sleep(3)
        kernel, seen = KernelKills(), Sightings(api_config(node))
        time.sleep(1)
        for number in range(REPEATED_PODS):
            apply(node, pod(f"children-{number}", children(kills, pause_seconds=PAUSE_SECONDS)))
            time.sleep(0.8)
        await_until(
            lambda: len(seen.kills) >= kills * REPEATED_PODS,
            seconds=60 + kills * PAUSE_SECONDS * 1.2,
            what="repeated kills",
        )
        time.sleep(6)  # the window of the rate limit
        for number in range(pods):
            apply(node, pod(f"eater-{number}", "exec tail /dev/zero"))
            time.sleep(0.8)
        await_until(lambda: len(seen.pods) >= pods, seconds=90, what="OOMKilled statuses")
        await_until(lambda: len(seen.first) >= pods + REPEATED_PODS, seconds=30, what="first kills")
        seen.stop()
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(20)
    stamps = kernel.stop()
    delays = {kill: 1000 * (at - stamps[kill]) for kill, at in seen.kills.items() if kill in stamps}
    own = set(seen.pods)
    first = [delay for kill, delay in delays.items() if kill in seen.first and seen.pod_of[kill] in own]
    others = [delay for kill, delay in delays.items() if kill not in seen.first]
    kubelet = [
        1000 * (seen.pods[uid] - stamps[kill])
        for kill, uid in seen.pod_of.items()
        if uid in seen.pods and kill in stamps
    ]
    print(f"{os.uname().release}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print("repeated: " + figures(others))
    print("first:    " + figures(first))
    ratio = quantile(kubelet, 0.5) / quantile(first, 0.5)
    print(f"kubelet:  {figures(kubelet)}: {ratio:.0f} times as long as `first`")


def figures(delays: Sequence[float]) -> str:
    """How many, and how they lie; milliseconds."""
    return (
        f"{len(delays)} kills, median {quantile(delays, 0.5):.1f} ms, p99 {quantile(delays, 0.99):.1f} ms, "
        f"max {max(delays):.1f} ms"
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    sys.exit(main())
