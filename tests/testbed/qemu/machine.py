"""What a virtual machine consists of, and the QEMU command line for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..packages import Requirement
from .kernels import Kernel

QEMU = Requirement(package="qemu-system-x86", program="qemu-system-x86_64")
MKFS_EXT4 = Requirement(package="e2fsprogs", program="mkfs.ext4")
QEMU_IMG = Requirement(package="qemu-utils", program="qemu-img")

BASE_APPEND = "console=ttyS0,115200 mitigations=off nokaslr audit=0 random.trust_cpu=on"
"""What every guest needs: without `mitigations=off` software emulation crawls."""
ERST_BYTES = 256 << 10


@dataclass(frozen=True, kw_only=True)
class Disk:
    """An NVMe disk (/dev/nvme0n1, /dev/nvme1n1, ... in their order): stock cloud kernels have NVMe and ext4
    built in, virtio only as modules."""

    path: Path
    format: str = "raw"
    write_bytes_per_second: int | None = None
    """Makes a slow disk of it."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A virtual machine under software emulation: stock kernels crawl under nested KVM, and then meet
    instructions that it does not emulate."""

    kernel: Kernel
    append: str = ""
    """Kernel arguments after BASE_APPEND."""
    memory_mib: int = 512
    numa_nodes: int = 2
    """Memory is split evenly; each node has one CPU."""
    initrd: Path | None = None
    disks: tuple[Disk, ...] = ()
    serials: tuple[str, ...] = ()
    """Further serial ports, ttyS1 on: QEMU character devices such as `file:/x` or
    `unix:/x.sock,server=on,wait=off`. ttyS0 is the console."""
    network: str | None = None
    """What follows `-netdev user,id=net0`, such as `,hostfwd=tcp:127.0.0.1:10251-:10250`; None is no network
    card. The guest needs the modules virtio_pci and virtio_net, and reaches the host at 10.0.2.2."""
    erst: Path | None = None
    """A file of ERST_BYTES that keeps panics for the guest's pstore; made when missing. Add
    `pstore.backend=erst` to `append`, and never `erst_disable` in any form."""
    stop_on_reset: bool = True
    """QEMU ends when the guest resets (-no-reboot): a supervisor that starts it anew is quicker than a reset
    under emulation."""
    extra: tuple[str, ...] = ()


def command_line(machine: Machine, folder: Path) -> tuple[str, ...]:
    """The whole command; in `folder` appear `console.log`, `qmp.sock`. Needs QEMU on the PATH."""
    qemu = QEMU.find()
    assert qemu is not None, "require((QEMU,)) first"
    nodes, memory = machine.numa_nodes, machine.memory_mib
    command = [
        str(qemu),
        *("-accel", "tcg,thread=multi,tb-size=256", "-machine", "q35", "-cpu", "qemu64"),
        # One CPU a socket: a topology that names cores makes the kernel warn and taint itself.
        *("-smp", f"{nodes},sockets={nodes},cores=1", "-m", str(memory)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-kernel", str(machine.kernel.vmlinuz), "-append", f"{BASE_APPEND} {machine.append}".strip()),
        *("-chardev", f"file,id=console,path={folder}/console.log,append=on", "-serial", "chardev:console"),
        *("-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off"),
    ]
    for node in range(nodes):
        command += ["-object", f"memory-backend-ram,id=m{node},size={memory // nodes}M"]
        command += ["-numa", f"node,nodeid={node},cpus={node},memdev=m{node}"]
    if machine.initrd is not None:
        command += ["-initrd", str(machine.initrd)]
    for at, disk in enumerate(machine.disks):
        drive = f"file={disk.path},if=none,id=d{at},format={disk.format},cache=unsafe,discard=unmap"
        if disk.write_bytes_per_second is not None:
            drive += f",throttling.bps-write={disk.write_bytes_per_second}"
        command += ["-drive", drive, "-device", f"nvme,drive=d{at},serial=oomkeeper{at}"]
    for serial in machine.serials:
        command += ["-serial", serial]
    if machine.network is not None:
        command += [
            "-netdev",
            f"user,id=net0{machine.network}",
            "-device",
            "virtio-net-pci,netdev=net0,romfile=",
        ]
    if machine.erst is not None:
        backend = f"memory-backend-file,id=erst,mem-path={machine.erst},size={ERST_BYTES},share=on"
        command += ["-object", backend, "-device", "acpi-erst,memdev=erst"]
    if machine.stop_on_reset:
        command.append("-no-reboot")
    return (*command, *machine.extra)


def prepare(machine: Machine) -> None:
    """Make the files that the command line expects and that may be missing."""
    if machine.erst is not None and not machine.erst.exists():
        with machine.erst.open("wb") as handle:
            handle.truncate(ERST_BYTES)
