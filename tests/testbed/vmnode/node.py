"""The vmnode level: the testbed's control plane, and a virtual machine that is its one node."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import components, packages, recipes
from ..binaries import binaries
from ..cache import Say
from ..controlplane import ControlPlane, attach, write_files
from ..errors import StartError, TestbedError
from ..plan import Component, Plan
from ..qemu import MKFS_EXT4, QEMU, QEMU_IMG, Disk, Machine, command_line, kernel, prepare
from .rootdisk import APPEND, overlay, root_disk
from .rundisk import write_run_disk
from .runner import COMMAND_FILE
from .serialshell import guest_sh

NODE_NAME = "vm-a"
"""As guest/etc/hostname has it."""
KERNEL = "6.1"
LEVEL = "vmnode"
MEMORY_MIB = 2048
NODE_USER = "kubeconfig-node"
_READY_SECONDS = 300.0
"""26 s on an idle machine of two cores."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class VMNode:
    """A running cluster of one virtual node."""

    control_plane: ControlPlane
    name: str = NODE_NAME

    @property
    def folder(self) -> Path:
        """The run folder: console.log, erst.bin, the logs of what runs on this machine."""
        return self.control_plane.folder

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        """As ControlPlane.kubectl."""
        return self.control_plane.kubectl(*arguments, input=input, check=check)

    def console(self) -> str:
        """All that the guest's kernels have printed, over its reboots."""
        path = self.folder / "console.log"
        return path.read_bytes().decode(errors="replace").replace("\r", "") if path.exists() else ""

    def sh(self, command: str, *, seconds: float = 30.0) -> str:
        """A shell command in the guest; gives its output. Raises TestbedError."""
        return guest_sh(self.folder / "sh.sock", command, seconds=seconds)

    def boot_id(self) -> str | None:
        """Of the boot in which the node was last seen Ready; None before the first."""
        found = self.kubectl("get", "node", self.name, "--output=json", "--ignore-not-found", check=False)
        try:
            status = json.loads(found)["status"]
        except ValueError:
            return None
        ready = next((one["status"] for one in status["conditions"] if one["type"] == "Ready"), None)
        return str(status["nodeInfo"]["bootID"]) if ready == "True" else None

    def wait_ready(self, *, other_than: str | None = None, seconds: float = _READY_SECONDS) -> str:
        """Wait until the node is Ready in another boot; gives that boot's id.

        A node that panics and comes back within some 40 s never turns NotReady: the boot id tells.
        """
        deadline = time.monotonic() + seconds
        while (boot := self.boot_id()) is None or boot == other_than:
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.name} is not Ready in a new boot within {seconds:.0f} s; its console ends:\n"
                    + "\n".join(self.console().splitlines()[-15:])
                )
            time.sleep(_POLL_SECONDS)
        return boot


def why_not() -> str | None:
    """Why this process cannot have a virtual node, or None when it can."""
    if os.geteuid() != 0:
        return "the virtual node's disk is made by debootstrap, which needs root"
    if os.uname().machine != "x86_64":
        return "the virtual node is an x86_64 machine, under emulation on any other it would crawl"
    return None


def prepare_vm(*, say: Say, detached: bool = False) -> Callable[[Path], Plan]:
    """Have all packages, binaries, kernel and disk; gives the function that fills a run folder."""
    reason = why_not()
    if reason is not None:
        raise TestbedError(reason)
    needed = (packages.OPENSSL, packages.BUSYBOX, packages.DEBOOTSTRAP, QEMU, QEMU_IMG, MKFS_EXT4)
    packages.require(needed, say=say)
    found = binaries((*recipes.NODE, recipes.HELM), say=say)
    stock = kernel(KERNEL, say=say)
    disk = root_disk(kernel=stock, found=found, say=say)

    def make_plan(folder: Path) -> Plan:
        user = f"system:node:{NODE_NAME}"
        url = write_files(folder, found, users={NODE_USER: (user, "system:nodes")})
        token = (folder / f"{NODE_USER}.token").read_text()
        own = overlay(disk, folder / "node.qcow2")
        run_disk = write_run_disk(folder, url=url, token=token, user=user, say=say)
        machine = Machine(
            kernel=stock,
            append=f"{APPEND} pstore.backend=erst",
            memory_mib=MEMORY_MIB,
            disks=(Disk(path=own, format="qcow2"), Disk(path=run_disk)),
            serials=(f"unix:{folder}/sh.sock,server=on,wait=off",),
            network="",
            erst=folder / "erst.bin",
        )
        prepare(machine)
        (folder / COMMAND_FILE).write_text(json.dumps(command_line(machine, folder)))
        return Plan(
            folder=folder,
            components=(
                *components.etcd_and_apiserver(folder, found, url=url, service_accounts=True),
                components.controller_manager(folder, found, url=url),
                components.scheduler(folder, found, url=url),
                _vm(folder, url=url),
                _controller(folder),
            ),
            ready_when=(f"{url}/readyz",),
            detached=detached,
        )

    return make_plan


def _vm(folder: Path, *, url: str) -> Component:
    command = (sys.executable, "-m", "tests.testbed.vmnode.runner", str(folder))
    return Component(name="vm", command=command, waits_for=(f"{url}/readyz",))


def _controller(folder: Path) -> Component:
    command = (sys.executable, "-m", "tests.testbed.vmnode.operator", str(folder))
    return Component(name="controller", command=command, gentle_seconds=3)


def finish_vm(node: VMNode, *, say: Say) -> None:
    """Wait until the node is Ready, telling how far the guest is."""
    say(f"waiting for {node.name} to boot and be Ready: half a minute, or more on a busy machine")
    deadline = time.monotonic() + _READY_SECONDS
    told = 0
    while node.boot_id() is None:
        lines = [line for line in node.console().splitlines() if line.startswith("TESTBED ")]
        for line in lines[told:]:
            say(f"in the guest: {line.removeprefix('TESTBED ')}")
        told = len(lines)
        if time.monotonic() > deadline:
            node.wait_ready(seconds=0.0)
        time.sleep(_POLL_SECONDS)
    say(f"{node.name} is Ready")


def attach_vm(folder: Path) -> VMNode:
    """The virtual node that runs in a run folder."""
    return VMNode(control_plane=attach(folder))
