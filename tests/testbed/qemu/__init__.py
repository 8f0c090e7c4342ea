"""Virtual machines with Debian's stock kernels, under QEMU's software emulation; no image to download.

For the kernel lab (tests/kernel_lab) and for tests that need a node that may panic.

    from tests.testbed.packages import require
    from tests.testbed.qemu import QEMU, Disk, Machine, command_line, guest, kernel, write_initramfs

    require((QEMU,), say=print)                     # by apt-get where it is missing
    stock = kernel("6.1", say=print)                # by apt, into the cache: .vmlinuz, .modules, .release
    machine = Machine(kernel=stock, append="root=/dev/nvme0n1 rw panic=5", memory_mib=2048,
                      disks=(Disk(path=disk, format="qcow2"),), erst=folder / "erst.bin",
                      serials=(f"unix:{folder}/sh.sock,server=on,wait=off",),      # ttyS1
                      network=",hostfwd=tcp:127.0.0.1:10251-:10250")
    with guest(machine, folder) as running:         # console in folder/console.log, QMP in folder/qmp.sock
        running.wait_for("VMNODE .* up", seconds=60)
        running.qmp("system_reset")
        panic = running.wait_end(seconds=120)       # the OOM panic's text, or None after a power-off

`guest` ends the machine with the block, and with this process however it ends. A supervisor that starts
QEMU itself takes `command_line(machine, folder)`, after `prepare(machine)`. A kernel that oopses for no
reason of memory (6.12 does in some boots under emulation) or a QEMU that dies is a GuestCrashError:
`console.crash` tells it from an OOM panic that was asked for, and starting again is the answer to it. Waiting
is always bounded: GuestTimeoutError.

NVMe and ext4 are built into these kernels (no initrd needed for a disk); virtio_pci, virtio_net, overlay,
veth and the rest are modules below `kernel(...).modules`, to be copied to /lib/modules/RELEASE and indexed
by `depmod -b`. The console of a machine is ttyS0, which QEMU writes to a file as it comes.
"""

from .guest import Guest, GuestCrashError, GuestTimeoutError, guest
from .initramfs import write_initramfs
from .kernels import SUITES, Kernel, KernelFetchError, kernel
from .machine import ERST_BYTES, MKFS_EXT4, QEMU, QEMU_IMG, Disk, Machine, command_line, prepare

__all__ = [
    "ERST_BYTES",
    "MKFS_EXT4",
    "QEMU",
    "QEMU_IMG",
    "SUITES",
    "Disk",
    "Guest",
    "GuestCrashError",
    "GuestTimeoutError",
    "Kernel",
    "KernelFetchError",
    "Machine",
    "command_line",
    "guest",
    "kernel",
    "prepare",
    "write_initramfs",
]
