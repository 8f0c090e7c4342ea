"""The .deb under systemd in a virtual machine: `python -m tests.testbed.hostpackages.systemd_guest FOLDER`.

Debian with systemd as init and a stock kernel, in QEMU, so that no machine's settings change. It runs
packaging/check-service.sh: install, kill, enforce, correct drift, purge. Root only; about five minutes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .. import packages
from ..cache import Say
from ..commands import run
from ..debian import debian_root
from ..errors import StartError, TestbedError
from ..mounts import remove_tree
from ..qemu import MKFS_EXT4, QEMU, Disk, Machine, guest, kernel
from .stage import PACKAGING

KERNEL = "6.1"
PACKAGES = ("systemd-sysv", "python3", "kmod", "procps", "diffutils", "findutils", "util-linux")
APPEND = (
    "root=/dev/nvme0n1 rw rootfstype=ext4 panic=5 printk.devkmsg=on log_buf_len=4M "
    "systemd.show_status=no systemd.journald.forward_to_console=0"
)
_SIZE_BYTES = 2 << 30
_BOOT_SECONDS = 600.0
_CHECK_SECONDS = 900.0
_UNIT = """\
[Unit]
After=multi-user.target
ConditionPathExists=/opt/check
[Service]
Type=oneshot
ExecStart=/opt/check/run
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
"""
_RUN = """\
#!/bin/sh
echo "CHECK started, systemd is $(systemctl is-system-running)"
sh /opt/check/check-service.sh /opt/check
echo "CHECK ended with $?"
systemctl poweroff
"""


def check(folder: Path, *, say: Say) -> None:
    """Run the check with the .deb of `folder`. Raises TestbedError with what the guest printed."""
    debs = sorted(folder.glob("oomkeeper-*.deb"))
    if len(debs) != 1:
        raise TestbedError(f"{folder} has {len(debs)} oomkeeper-*.deb: run `make packages` first")
    packages.require((QEMU, MKFS_EXT4), say=say)
    with tempfile.TemporaryDirectory(prefix="oomkeeper-systemd-") as name:
        work = Path(name)
        root = work / "root"
        debian_root(root, include=PACKAGES, say=say)
        stock = kernel(KERNEL, say=say)
        _fill(root, deb=debs[0])
        disk = work / "disk.img"
        with disk.open("wb") as handle:
            handle.truncate(_SIZE_BYTES)
        mkfs = MKFS_EXT4.find()
        assert mkfs is not None
        run([mkfs, "-q", "-F", "-d", root, disk])
        remove_tree(root)
        say("booting Debian with systemd")
        machine = Machine(kernel=stock, append=APPEND, memory_mib=1024, disks=(Disk(path=disk),))
        began = time.monotonic()
        with guest(machine, work / "boot") as running:
            say(running.wait_for(r"CHECK started.*", seconds=_BOOT_SECONDS)[0].strip())
            code = running.wait_for(r"CHECK ended with (\d+)", seconds=_CHECK_SECONDS)[1]
            say(_without_kernel(running.console))
        if code != "0":
            raise StartError(f"the check failed with {code}")
        say(f"passed after {time.monotonic() - began:.0f} s in the guest")


def _without_kernel(console: str) -> str:
    """Return what the check printed: neither colours nor the kernel's own lines."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", console[console.index("CHECK started") :])
    return "\n".join(line for line in text.splitlines() if line and not re.match(r"\[ *\d+\.\d+\]", line))


def _fill(root: Path, *, deb: Path) -> None:
    check = root / "opt/check"
    check.mkdir(parents=True)
    shutil.copy(deb, check)
    shutil.copy(PACKAGING / "check-service.sh", check)
    (check / "run").write_text(_RUN)
    (check / "run").chmod(0o755)
    (root / "etc/systemd/system/check.service").write_text(_UNIT)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "check.service").symlink_to("/etc/systemd/system/check.service")
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text("")
    for unit in ("getty@tty1.service", "serial-getty@ttyS0.service", "systemd-networkd-wait-online.service"):
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")


def main() -> int:
    """Check, and print what the guest prints."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.testbed.hostpackages.systemd_guest", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="where `make packages` wrote the .deb, such as dist")
    try:
        check(parser.parse_args().folder, say=lambda line: print(line, file=sys.stderr, flush=True))
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
