"""Programs of the operating system that a native node needs, and the Debian packages that hold them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .cache import Say, cache_folder, locked
from .errors import MissingPackagesError

CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
_LOCK_WAIT = ("-o", "DPkg::Lock::Timeout=120")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    package: str
    program: str
    folders: tuple[str, ...] = ()
    """Where to look; the PATH when empty."""

    def find(self) -> Path | None:
        found = shutil.which(self.program, path=os.pathsep.join(self.folders) or _PATH)
        return Path(found) if found else None


RUNC = Requirement(package="runc", program="runc")
CNI = Requirement(package="containernetworking-plugins", program="ptp", folders=CNI_FOLDERS)
IPTABLES = Requirement(package="iptables", program="iptables")
BUSYBOX = Requirement(package="busybox-static", program="busybox")
OPENSSL = Requirement(package="openssl", program="openssl")
DEBOOTSTRAP = Requirement(package="debootstrap", program="debootstrap")
# With its recommendations it would bring cgroupfs-mount, which mounts what the machine does not have mounted.
DOCKER = Requirement(package="docker.io", program="docker")
DOCKERD = Requirement(package="docker.io", program="dockerd")
BUILDAH = Requirement(package="buildah", program="buildah")

CONTROL_PLANE = (OPENSSL,)
NODE = (OPENSSL, RUNC, CNI, IPTABLES, BUSYBOX)


def require(requirements: Sequence[Requirement], *, say: Say) -> None:
    """Have every program, by apt-get where root.

    Raises MissingPackagesError naming exactly what is missing.
    """
    missing = [requirement for requirement in requirements if requirement.find() is None]
    if not missing:
        return
    names = [requirement.package for requirement in missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        programs = ", ".join(requirement.program for requirement in missing)
        raise MissingPackagesError(
            f"{programs} not found: install the packages {' '.join(names)} "
            f"(apt-get install --no-install-recommends {' '.join(names)}), then try again"
        )
    # In parallel, one's clean-up removes the other's downloads (docker-clean of Debian's base images).
    with locked(cache_folder() / "apt.lock", say=say, waiting_for="another process installs packages"):
        say(f"installing the Debian packages {' '.join(names)}")
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *_LOCK_WAIT, *names]
        if _apt(install).returncode != 0:
            _apt(["apt-get", "update", "--quiet"])  # the lists may be missing or old
            done = _apt(install)
            if done.returncode != 0:
                raise MissingPackagesError(
                    f"{' '.join(install)} failed; run it by hand: {done.stderr[-400:]}"
                )
    left = [requirement.package for requirement in missing if requirement.find() is None]
    if left:
        raise MissingPackagesError(f"installed {' '.join(left)}, but their programs are not where expected")


def _apt(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
