"""oomkeeper on the virtual node: its chart by helm, the agent as a pod in the guest, the controller on this
machine.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from .. import recipes
from ..binaries import binaries
from ..cache import Say
from ..commands import run
from ..errors import StartError
from ..kubeconfigs import write_kubeconfig
from .node import VMNode
from .pythonimage import PYTHON_IMAGE

NAMESPACE = "oomkeeper-system"
RELEASE = "oomkeeper"
CHART = Path(__file__).parents[3] / "charts" / "oomkeeper"
KUBECONFIG = "controller.kubeconfig"
_ANSWER_SECONDS = 240.0
_TOKEN_SECONDS = "86400s"


def install_operator(node: VMNode, *, say: Say) -> None:
    """Install the chart and wait until the agent has filled in the OOMNode of this boot.

    Raises StartError with the pods as they are.
    """
    repository, _, tag = PYTHON_IMAGE.rpartition(":")
    values = {
        "image.repository": repository,
        "image.tag": tag,
        "image.pullPolicy": "Never",
    }
    say("installing the chart; its controller runs on this machine")
    options: list[str | Path] = [
        option for name, value in values.items() for option in ("--set-string", f"{name}={value}")
    ]
    options += ["--set", "controller.replicas=0", "--set", "controller.cordonNodes=true"]
    chart: list[str | Path] = [
        "upgrade",
        "--install",
        RELEASE,
        CHART,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
        *options,
    ]
    helm = binaries((recipes.HELM,), say=say)["helm"]
    folders = {
        f"HELM_{kind}_HOME": str(node.folder / f"helm-{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")
    }
    run(
        [helm, *chart], environment={**folders, "KUBECONFIG": str(node.control_plane.kubeconfig)}, seconds=120
    )
    _start_controller(node)
    say("waiting for the agent to answer in its OOMNode")
    wait_for_agent(node)


def wait_for_agent(node: VMNode, *, seconds: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """Wait until the agent of the node's present boot has written its OOMNode; gives that."""
    deadline = time.monotonic() + seconds
    while True:
        boot = node.boot_id()
        found = node.kubectl("get", "oomnode", node.name, "--output=json", "--ignore-not-found", check=False)
        try:
            oomnode: dict[str, Any] = json.loads(found)
        except ValueError:
            oomnode = {}
        if boot is not None and oomnode.get("status", {}).get("kernel", {}).get("bootID") == boot:
            return oomnode
        if time.monotonic() > deadline:
            raise StartError(f"no agent answers on {node.name} within {seconds:.0f} s:\n{_state(node)}")
        time.sleep(0.5)


def _start_controller(node: VMNode) -> None:
    plane = node.control_plane
    account = (f"{RELEASE}-controller", f"--namespace={NAMESPACE}", f"--duration={_TOKEN_SECONDS}")
    token = node.kubectl("create", "token", *account).strip()
    fresh = node.folder / f"{KUBECONFIG}.new"
    write_kubeconfig(fresh, url=plane.url, ca_file=plane.ca_file, token=token, user="controller")
    fresh.rename(node.folder / KUBECONFIG)


def _state(node: VMNode) -> str:
    where = f"--namespace={NAMESPACE}"
    pods = node.kubectl("get", "pods", where, "--output=wide", check=False)
    events = node.kubectl("get", "events", where, "--sort-by=.lastTimestamp", check=False)
    return "\n".join([pods, *events.splitlines()[-10:], *node.console().splitlines()[-10:]])


def main(folder: Path) -> None:
    """Become the controller once `install_operator` has given it an account. One of the run's programs."""
    while not (folder / KUBECONFIG).exists():
        time.sleep(0.2)
    command = [sys.executable, "-m", "oomkeeper", "controller", "--cordon-nodes"]
    os.execv(sys.executable, [*command, "--kubeconfig", str(folder / KUBECONFIG)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
