"""Build the image when its content is not in the cache yet."""

from __future__ import annotations

import hashlib
import os
import re
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..cache import Say, cache_folder, drop_old, locked, silent
from ..debian import debian_archive, debian_stamp
from .builders import Builder, choose_builder

_CHECKOUT = Path(__file__).parents[3]
_REPOSITORY = "oomkeeper.local/oomkeeper"
_BASE_REPOSITORY = "oomkeeper.local/python-base"
_BASE_SUITE = "trixie"
"""Its Python is 3.13, as that of the Dockerfile's base."""
_BASE_PACKAGES = ("python3-minimal", "python3-venv", "ca-certificates")
_KEPT = 5
"""Of as many contents used last the archives stay: several checkouts may share a cache."""
_CERTIFICATE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, kw_only=True)
class OperatorImage:
    """An image that is there."""

    name: str
    """REPOSITORY:TAG, as the archive calls it."""
    archive: Path

    @property
    def repository(self) -> str:
        return self.name.rpartition(":")[0]

    @property
    def tag(self) -> str:
        return self.name.rpartition(":")[2]


def operator_image(*, checkout: Path = _CHECKOUT, say: Say = silent) -> OperatorImage:
    """The image of `checkout` as it is now, built when its content is not in the cache.

    Raises TestbedError, saying what is missing or which step failed.
    """
    registry_base, local_base = _registry_base(checkout), _local_base()
    for base in (registry_base, local_base):
        image = _image(checkout, base=base)
        if image.archive.exists():
            image.archive.touch()
            return image
    lock = cache_folder() / "images" / "oomkeeper.lock"
    with locked(lock, say=say, waiting_for="another process builds the image"):
        builder = choose_builder(say=say)
        base = _have_base(builder, registry=registry_base, local=local_base, say=say)
        image = _image(checkout, base=base)
        if not image.archive.exists():
            _build(image, builder, checkout=checkout, base=base, say=say)
        return image


def _build(image: OperatorImage, builder: Builder, *, checkout: Path, base: str, say: Say) -> None:
    say(f"building {image.name} with {builder.name} on {base}: a minute, seconds where only code has changed")
    started = time.monotonic()
    certificates = _certificates()
    secrets = {"certificates": certificates} if certificates else {}
    builder.build(image.name, context=checkout, arguments={"BASE_IMAGE": base}, secrets=secrets)
    fresh = image.archive.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    builder.save(image.name, fresh)
    fresh.rename(image.archive)
    drop_old(image.archive.parent, "oomkeeper-*.tar", keep=_KEPT)
    size_mib = image.archive.stat().st_size >> 20
    say(f"built {image.name} in {time.monotonic() - started:.0f} s, {size_mib} MiB")


def _have_base(builder: Builder, *, registry: str, local: str, say: Say) -> str:
    for base in (registry, local):
        if builder.has(base):
            return base
    if builder.pull(registry, say=say):
        return registry
    say("making a base with Python from Debian packages instead")
    builder.add_base(local, debian_archive(include=_BASE_PACKAGES, suite=_BASE_SUITE, say=say))
    return local


def _registry_base(checkout: Path) -> str:
    [base] = re.findall(r"^ARG BASE_IMAGE=(\S+)$", (checkout / "Dockerfile").read_text(), re.MULTILINE)
    return str(base)


def _local_base() -> str:
    return f"{_BASE_REPOSITORY}:{debian_stamp(_BASE_PACKAGES, suite=_BASE_SUITE)}"


def _image(checkout: Path, *, base: str) -> OperatorImage:
    content = hashlib.sha256(base.encode())
    for path in _sources(checkout):
        content.update(f"\0{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    version = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"]
    tag = f"{version}-{content.hexdigest()[:12]}"
    folder = cache_folder() / "images"
    folder.mkdir(exist_ok=True)
    return OperatorImage(name=f"{_REPOSITORY}:{tag}", archive=folder / f"oomkeeper-{tag}.tar")


def _sources(checkout: Path) -> Iterator[Path]:
    """What .dockerignore lets through, and what says how to build it."""
    yield from (checkout / name for name in ("Dockerfile", ".dockerignore", "requirements-image.lock"))
    package = checkout / "operator" / "oomkeeper"
    yield from sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _certificates() -> Path | None:
    """What this machine trusts, where it says so: a company's proxy is unknown to pip in the build."""
    for variable in _CERTIFICATE_VARIABLES:
        path = os.environ.get(variable)
        if path and Path(path).is_file():
            return Path(path)
    return None
