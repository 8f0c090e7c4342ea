"""The operator as processes of this machine: a controller, and an agent for the node that is this machine."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

from .harness import Harness
from .narration import DemoError, Narrator
from .running import OOMKEEPER, eventually, running

NAMESPACE = "oomkeeper-system"
STATE = "agent-state"


@contextmanager
def operator(harness: Harness, *, folder: Path, tell: Narrator) -> Iterator[None]:
    """Run controller and agent until the block ends."""
    kubectl = harness.kubectl
    tell.step("Start the operator: one controller for the cluster, one agent for the node")
    tell.say(
        "The controller turns policies into one OOMNode per node, and incidents into summaries. The agent "
        "applies its OOMNode and reports every kill. Here both are processes of this machine with the "
        "credentials of the kubeconfig; on a real cluster, the Helm chart installs them."
    )
    with ExitStack() as stack:
        programs: dict[str, tuple[str, ...]] = {
            "controller": ("controller", "--kubeconfig", str(kubectl.kubeconfig))
        }
        if harness.node is not None:
            state = folder / STATE
            where = ("--kubeconfig", str(kubectl.kubeconfig), "--state-dir", str(state))
            programs["agent"] = ("agent", "--node-name", harness.node, *where)
        started: dict[str, Popen[bytes]] = {}
        for name, arguments in programs.items():
            tell.command(f"oomkeeper {' '.join(arguments)} &")
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            started[name] = stack.enter_context(running([*OOMKEEPER, *arguments], stdout=log, stderr=log))
        try:
            yield
        except DemoError as error:
            for name, process in started.items():
                how = "runs" if process.poll() is None else f"ended with exit code {process.returncode}"
                print(f"--- the {name} {how}; its log ends:", file=sys.stderr)
                print("".join(_tail(folder / f"{name}.log")), file=sys.stderr, flush=True)
            raise error


def await_answer(harness: Harness, *, tell: Narrator) -> None:
    """Wait until the controller has created an OOMNode for every node, and the agent has reported."""
    kubectl = harness.kubectl
    nodes = {node["metadata"]["name"] for node in kubectl.items("nodes")}
    eventually(
        lambda: {one["metadata"]["name"] for one in kubectl.items("oomnodes")} >= nodes,
        what="the controller has made an OOMNode for every node",
        every=0.3,
    )
    if harness.node is not None:
        eventually(
            lambda: kubectl.get("oomnode", harness.node or "").get("status", {}).get("kernel"),
            what=f"the agent has answered in OOMNode {harness.node}",
            every=0.3,
        )
    kubectl.show("get", "oomnodes", "--output=wide")
    tell.fact(True, "the controller has made an OOMNode for each node" + (
        ", and the agent has filled in its own" if harness.node else ""))  # fmt: skip


def _tail(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines(keepends=True)[-15:]
