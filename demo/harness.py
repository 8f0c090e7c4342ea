"""The cluster of the second part: one created for the demo, or one that the user names."""

import json
import os
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.testbed import control_plane, native_node
from tests.testbed.images import BUSYBOX_IMAGE
from tests.testbed.node import why_not as why_no_native_node

from .kubectl import Kubectl, find_kubectl
from .narration import Narrator


class UsageError(Exception):
    """The command line names no cluster, or several; the message says what to write."""


@dataclass(frozen=True, kw_only=True)
class Harness:
    """A cluster, and what the demo can show on it."""

    kubectl: Kubectl
    own: bool
    """Created for the demo, and removed with everything in it."""
    node: str | None
    """The node whose kernel is this machine's: its agent runs here. None if there is none."""
    no_node: str = ""
    """Why `node` is None."""
    image: str = BUSYBOX_IMAGE


@contextmanager
def opened(options: Namespace, *, folder: Path, tell: Narrator) -> Iterator[Harness]:
    """Return the cluster of the options. Raises UsageError, and TestbedError if none can be created."""
    if options.kind is not None:
        yield _named(_kind_kubeconfig(options.kind, folder=folder), options=options, folder=folder, tell=tell)
    elif options.kubeconfig is not None:
        kubeconfig = _one_context(options, folder=folder, tell=tell)
        yield _named(kubeconfig, options=options, folder=folder, tell=tell)
    elif (reason := why_no_native_node()) is None:
        with native_node(name="node-a", say=tell.quiet) as node:
            plane = node.control_plane
            kubectl = Kubectl(
                program=plane.kubectl_path, kubeconfig=plane.kubeconfig, cache=folder / "cache", tell=tell
            )
            yield Harness(kubectl=kubectl, own=True, node=node.name)
    else:
        with control_plane(say=tell.quiet) as plane:
            kubectl = Kubectl(
                program=plane.kubectl_path, kubeconfig=plane.kubeconfig, cache=folder / "cache", tell=tell
            )
            yield Harness(kubectl=kubectl, own=True, node=None, no_node=reason)


def check(options: Namespace) -> None:
    """Check the options. Raises UsageError if they contradict each other."""
    named = options.kind is not None or options.kubeconfig is not None
    if options.context is not None and options.kubeconfig is None:
        raise UsageError("--context goes with --kubeconfig FILE")
    if options.image is not None and not named:
        raise UsageError("--image goes with --kind or --kubeconfig")
    if named and options.only == "host":
        raise UsageError("--only host needs no cluster")
    if options.kubeconfig is not None and not options.kubeconfig.is_file():
        raise UsageError(f"{options.kubeconfig}: no such file")


def _kind_kubeconfig(name: str, *, folder: Path) -> Path:
    if shutil.which("kind") is None:
        raise UsageError(f"--kind {name}: kind is not on the PATH; or name its kubeconfig with --kubeconfig")
    done = subprocess.run(
        ["kind", "get", "kubeconfig", "--name", name], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UsageError(f"--kind {name}: {' '.join(done.stderr.split())}")
    return _private(folder, done.stdout)


def _one_context(options: Namespace, *, folder: Path, tell: Narrator) -> Path:
    """Return a kubeconfig with only the named context, so that no other cluster can be reached."""
    given = options.kubeconfig.resolve()
    config = [str(find_kubectl(tell)), f"--kubeconfig={given}", "config"]
    done = subprocess.run([*config, "view", "--output=json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"{given}: {' '.join(done.stderr.split())}")
    contexts = [entry["name"] for entry in json.loads(done.stdout).get("contexts") or []]
    chosen = options.context or (contexts[0] if len(contexts) == 1 else None)
    if chosen is None:
        raise UsageError(
            f"{given} has {len(contexts)} contexts: name one with --context ({', '.join(contexts)})"
        )
    if chosen not in contexts:
        raise UsageError(f"{given} has no context {chosen!r}; it has {', '.join(contexts) or 'none'}")
    view = ["view", "--minify", "--flatten", "--raw", f"--context={chosen}"]
    done = subprocess.run([*config, *view], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"{given}: {' '.join(done.stderr.split())}")
    return _private(folder, done.stdout)


def _private(folder: Path, text: str) -> Path:
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _named(kubeconfig: Path, *, options: Namespace, folder: Path, tell: Narrator) -> Harness:
    kubectl = Kubectl(program=find_kubectl(tell), kubeconfig=kubeconfig, cache=folder / "cache", tell=tell)
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    here = [
        node["metadata"]["name"]
        for node in kubectl.items("nodes")
        if node["status"]["nodeInfo"]["bootID"] == boot_id and not node["spec"].get("unschedulable")
    ]
    no_node = ""
    if not here:
        no_node = (
            "no node of this cluster runs on this machine's kernel, and the agent must run where the kernel "
            "is (an image and a chart that bring it to every node come with a later release)"
        )
    elif os.geteuid() != 0:
        no_node = "not root: the agent sets sysctls and reads the kernel log of this machine"
    return Harness(
        kubectl=kubectl,
        own=False,
        node=None if no_node else here[0],
        no_node=no_node,
        image=options.image or "busybox",
    )
