"""`python -m plugins FOLDER [--installed] [--url URL]`: build `kubectl oom` as one file.

Writes FOLDER/kubectl-oom, FOLDER/kubectl-oom-VERSION.tar.gz and FOLDER/plugins/oom.yaml, krew's manifest. The
same input gives the same bytes."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import yaml

from oomkeeper import __version__

from .krew import manifest
from .packages import CHECKOUT, fill

_SHEBANG = b"#!/usr/bin/env python3\n"
_TIME = (1980, 1, 1, 0, 0, 0)


def build(folder: Path, *, installed: bool, url: str) -> Path:
    """Write the plugin and its manifest; return the plugin's path. Raises CalledProcessError and OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        content = Path(scratch)
        fill(content, installed=installed)
        _copy_oomkeeper(content / "pure" / "oomkeeper")
        plugin = folder / "kubectl-oom"
        plugin.write_bytes(_SHEBANG + _archive(content))
        plugin.chmod(0o755)
        platforms = sorted(one.name.split("-", 1)[1] for one in (content / "native").iterdir())
    packed = folder / f"kubectl-oom-{__version__}.tar.gz"
    packed.write_bytes(_tar(plugin))
    document = manifest(
        version=__version__,
        url=f"{url}/{packed.name}",
        sha256=hashlib.sha256(packed.read_bytes()).hexdigest(),
        platforms=sorted(set(platforms)),
    )
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "oom.yaml").write_text(yaml.safe_dump(document, sort_keys=False, width=110))
    return plugin


def _copy_oomkeeper(target: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "operator" / "oomkeeper", target, ignore=ignored)


def _archive(content: Path) -> bytes:
    """Return the zip archive of a folder, with the bootstrap that knows its hash."""
    files = {
        path.relative_to(content).as_posix(): path.read_bytes()
        for path in content.rglob("*")
        if path.is_file()
    }
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    bootstrap = (CHECKOUT / "plugins" / "bootstrap.py").read_text().replace("@KEY@", digest.hexdigest()[:16])
    files["__main__.py"] = bootstrap.encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])
    return data.getvalue()


def _tar(plugin: Path) -> bytes:
    data = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=data, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path, name, mode in ((plugin, "kubectl-oom", 0o755), (CHECKOUT / "LICENSE", "LICENSE", 0o644)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, mode
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return data.getvalue()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m plugins", description="Build kubectl oom as one file.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--installed", action="store_true", help="packages of this environment: no network")
    parser.add_argument(
        "--url",
        default=f"https://github.com/OWNER/oomkeeper/releases/download/v{__version__}",
        help="where the release's files are, for krew",
    )
    options = parser.parse_args()
    try:
        plugin = build(options.folder, installed=options.installed, url=options.url)
    except (subprocess.CalledProcessError, OSError, LookupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{plugin} ({plugin.stat().st_size >> 10} KiB)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
