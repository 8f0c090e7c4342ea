"""etcd, kube-apiserver and kubectl as setup-envtest downloads them: seconds, where reachable, not a build."""

from __future__ import annotations

import hashlib
import io
import platform
import re
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import BuildError

INDEX_URL = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"
BINARIES = frozenset({"etcd", "kube-apiserver", "kubectl"})
_INDEX_TIMEOUT_SECONDS = 5
_ARCHIVE_TIMEOUT_SECONDS = 60
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
_ENTRY = re.compile(
    r"^\s+(?P<archive>envtest-(?P<version>v[\d.]+)-linux-(?P<machine>\w+)\.tar\.gz):\s*\n"
    r"(?:\s+hash:\s*(?P<hash>[0-9a-f]+)\s*\n|\s+selfLink:\s*(?P<link>\S+)\s*\n?){2}",
    re.MULTILINE,
)


class DownloadRefusedError(BuildError):
    """Nothing could be downloaded; the binaries have to come from elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    version: str
    sha512: str
    url: str


def machine() -> str:
    """This machine's architecture as Go names it."""
    return _MACHINES.get(platform.machine(), platform.machine())


def choose(index: str, *, version: str, machine: str) -> Archive | None:
    """The archive of `version` (v1.37.2), else the newest patch release of its minor version, else None."""
    minor = version.rpartition(".")[0] + "."
    found = [
        Archive(version=entry["version"], sha512=entry["hash"], url=entry["link"])
        for entry in _ENTRY.finditer(index)
        if entry["machine"] == machine and entry["version"].startswith(minor)
    ]
    exact = [archive for archive in found if archive.version == version]
    patch = sorted(found, key=lambda archive: int(archive.version.rpartition(".")[2]))
    return next(iter(exact or patch[-1:]), None)


def download(*, version: str, target: Path, index_url: str | None = None) -> str:
    """Put the binaries into `target`; gives the version they are of.

    Raises DownloadRefusedError when the index or the archive cannot be had, or is not what the index says.
    """
    index = _get(index_url or INDEX_URL, timeout=_INDEX_TIMEOUT_SECONDS).decode()
    archive = choose(index, version=version, machine=machine())
    if archive is None:
        raise DownloadRefusedError(f"no envtest archive of {version} for {machine()}")
    content = _get(archive.url, timeout=_ARCHIVE_TIMEOUT_SECONDS)
    if hashlib.sha512(content).hexdigest() != archive.sha512:
        raise DownloadRefusedError(f"{archive.url} is not what the index says (sha512)")
    _unpack(content, target=target)
    return archive.version


def _get(url: str, *, timeout: int) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            content: bytes = answer.read()
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise DownloadRefusedError(f"{url}: {error}") from error
    return content


def _unpack(content: bytes, *, target: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            file = archive.extractfile(member) if name in BINARIES and member.isfile() else None
            if file is not None:
                (target / name).write_bytes(file.read())
                (target / name).chmod(0o755)
    missing = sorted(name for name in BINARIES if not (target / name).exists())
    if missing:
        raise DownloadRefusedError(f"the envtest archive holds no {', '.join(missing)}")
