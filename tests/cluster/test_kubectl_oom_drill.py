"""`kubectl oom drill` on a real node: real kills, a real incident and Event for each."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.testbed import NativeNode
from tests.waiting import eventually

from .agent_harness import BUSYBOX
from .controller_harness import Harness
from .test_main_job import agent, harness, pytestmark

__all__ = ["agent", "harness", "pytestmark"]

RUN = "import sys; from oomkeeper.cli.kubectl_oom import main; sys.exit(main())"


def test_kills_are_followed_to_incident_and_event(native_node: NativeNode, harness: Harness) -> None:
    command = [sys.executable, "-c", RUN, "drill", f"--kubeconfig={native_node.control_plane.kubeconfig}"]
    command += [f"--image={BUSYBOX}", f"--node={native_node.name}", "--timeout=90", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {(one["level"], one["name"]): one for one in json.loads(done.stdout)["links"]}
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
