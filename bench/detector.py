"""node-problem-detector beside oomkeeper: the comparable tool reports every kill as an Event of the node.

It runs as a process of this machine, reads the same kernel log and writes to the same API server. Its rule
is that of its own kernel monitor: a line with `Killed process` becomes an Event, reason OOMKilling."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from oomkeeper.agent.kube.client import decode_object
from oomkeeper.agent.kube.reflector import Reflector
from oomkeeper.kernel.report.killline import parse_killed
from tests.testbed.binaries import binaries
from tests.testbed.recipes import NODE_PROBLEM_DETECTOR

from .agent_node import ApiConfig, Json

REASON = "OOMKilling"
MOST_EVENTS = 20
"""client-go's recorder drops what one source says of one object beyond a burst of 25 (its
EventSourceObjectSpamFilter)."""


@contextlib.contextmanager
def detector(
    *, server: str, kubeconfig: Path, node: str, folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs while the block does; its log lies in `folder`."""
    program = binaries([NODE_PROBLEM_DETECTOR], say=lambda text: print(f"  ({text})", flush=True))
    monitor = folder / "kernel-monitor.json"
    monitor.write_text(json.dumps(_monitor()))
    command = [str(program["nodeproblemdetector"]), f"--hostname-override={node}", "--prometheus-port=0"]
    command += [f"--config.system-log-monitor={monitor}", "--port=0"]
    command += [f"--apiserver-override={server}?inClusterConfig=false&auth={kubeconfig}"]
    with (folder / "detector.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        time.sleep(5)
        if process.poll() is not None:
            raise SystemExit("node-problem-detector ended: " + (folder / "detector.log").read_text()[-2000:])
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _monitor() -> Json:
    rule = {"type": "temporary", "reason": REASON, "pattern": "Killed process \\d+ (.+) total-vm:\\d+kB.*"}
    return {
        "plugin": "kmsg",
        "logPath": "/dev/kmsg",
        "lookback": "0s",
        "bufferSize": 10,
        "source": "kernel-monitor",
        "conditions": [],
        "rules": [rule],
    }


class Events:
    """When each victim's pid was first seen in an OOMKilling Event: seconds of CLOCK_MONOTONIC."""

    def __init__(self, config: ApiConfig) -> None:
        self.pids: dict[int, float] = {}
        self._reflector = Reflector(
            config=config,
            path="/api/v1/events",
            query={},
            decode=decode_object,
            listed=lambda _: None,
            changed=self._event,
        )
        self._reflector.start()

    def stop(self) -> None:
        self._reflector.stop()

    def _event(self, _kind: str, event: Json) -> None:
        now = time.monotonic()
        if event.get("reason") != REASON:
            return
        # The message is the kernel's line.
        if (victim := parse_killed(event.get("message", "").encode())) is not None:
            self.pids.setdefault(victim.pid, now)


def resident_mib(process: "subprocess.Popen[bytes]") -> float:
    """VmRSS of the process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
