"""`kubectl oom` on a real node: a drill with real kills, and the kernel log that has them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.testbed import NativeNode
from tests.waiting import eventually

from .agent_harness import BUSYBOX
from .controller_harness import Harness, Json
from .test_main_job import agent, harness, pytestmark

__all__ = ["agent", "harness", "pytestmark"]

RUN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"


def oom(node: NativeNode, verb: str, *words: str) -> Json:
    """Run a verb that prints JSON."""
    command = [sys.executable, "-c", RUN, verb, f"--kubeconfig={node.control_plane.kubeconfig}", *words]
    done = subprocess.run([*command, "-o", "json"], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found: Json = json.loads(done.stdout)
    return found


def test_kills_are_followed_to_incident_and_event(native_node: NativeNode, harness: Harness) -> None:
    words = (f"--image={BUSYBOX}", f"--node={native_node.name}", "--timeout=90")
    links = oom(native_node, "drill", *words)["links"]
    results = {(one["level"], one["name"]): one for one in links}
    for level in ("container", "child"):
        for link in ("Pod", "Kernel", "Incident", "Event"):
            assert results[level, link]["result"] == "Passed", results
        # The agent is a process here, not a pod.
        assert results[level, "Metric"]["result"] == "Skipped"
    assert results["pod", "Pod"]["result"] in ("Passed", "Skipped")

    def gone() -> bool:
        spaces = harness.list("/api/v1/namespaces")
        return not [
            one
            for one in spaces
            if one["metadata"]["name"].startswith("oomkeeper-drill-")
            and "deletionTimestamp" not in one["metadata"]
        ]

    assert eventually(gone)


def test_kernel_log_is_explained_through_a_pod(native_node: NativeNode, harness: Harness) -> None:
    document = oom(native_node, "explain", f"node/{native_node.name}", "--debug-pod", f"--image={BUSYBOX}")
    assert any(one["limitBytes"] == 32 << 20 for one in document["kills"])
    assert document["records"]["kernel"] > 0
    pods = harness.list("/api/v1/namespaces/default/pods")
    assert not [one for one in pods if one["metadata"]["name"].startswith("oomkeeper-node-log-")]
