"""`kubectl oom recommend --apply` with a kubelet that resizes in place (cgroup v2)."""

from __future__ import annotations

import re
import subprocess
import sys

from .harness import Harness, Json, container, eventually

ONCE = "if [ -e /data/killed ]; then exec sleep 100000; fi; touch /data/killed; exec tail /dev/zero"


def oom(harness: Harness, *arguments: str) -> str:
    """What a verb of `kubectl oom` prints."""
    main = "from oomkeeper.cli.kubectl_oom import main; raise SystemExit(main())"
    command = [sys.executable, "-c", main, *arguments, "-n", harness.space]
    done = subprocess.run(
        [*command, "--kubeconfig", str(harness.node.control_plane.kubeconfig)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def app(harness: Harness) -> Json:
    """The status of the container, which runs again."""
    [found] = harness.get("pod", "tight")["status"]["containerStatuses"]
    assert "running" in found["state"]
    assert found["restartCount"] == 1
    status: Json = found
    return status


def test_recommended_limit_is_applied_to_the_running_container(harness: Harness) -> None:
    data = {"name": "data", "mountPath": "/data"}
    harness.pod(
        "tight",
        container("app", ONCE, limit="32Mi", volumeMounts=[data]),
        restartPolicy="Always",
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    harness.incident(cause="ContainerLimit")
    before = eventually(lambda: app(harness))
    assert before["resources"]["limits"]["memory"] == "32Mi"
    patch = oom(harness, "recommend", "pod/tight", "-o", "patch")
    match = re.search(r"memory\W+(\d+)Mi", patch)
    assert match is not None, patch
    assert "pod/tight resized" in oom(harness, "recommend", "pod/tight", "--apply", "--yes")

    def resized() -> Json:
        now = app(harness)
        assert now["resources"]["limits"]["memory"] == f"{match[1]}Mi"
        return now

    after = eventually(resized)
    assert after["containerID"] == before["containerID"], "without a restart"
    identity = after["containerID"].rpartition("/")[2]
    limit = harness.node.sh(f"cat $(find /sys/fs/cgroup -name '*{identity}*' -type d)/memory.max")
    assert int(limit) == int(match[1]) << 20 > 32 << 20
