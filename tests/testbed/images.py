"""Container images without a registry: an OCI archive made from a folder, and the two that pods here use."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from .cache import Say
from .envtest import machine
from .packages import BUSYBOX

PAUSE = "oomkeeper.local/pause:1"
BUSYBOX_IMAGE = "oomkeeper.local/busybox:1"

_PAUSE_SOURCE = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) { _exit(number == SIGTERM || number == SIGINT ? 0 : 1); }
static void reap(int number) { (void)number; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
"""
_PAUSE_SCRIPT = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 86400 & wait $!; done\n"


def image_archive(root: Path, *, name: str, entrypoint: Sequence[str]) -> bytes:
    """An OCI image layout as one tar: `root`'s content as the only layer, all owned by root.

    `name` is REPOSITORY:TAG. The same content gives the same digest.
    """
    layer = _tar_of(root)
    config = _json(
        {
            "architecture": machine(),
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": _descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [_descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
        }
    )
    # containerd reads the full name from its own annotation; the OCI one holds only the tag.
    annotations = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [{**_descriptor(manifest, manifest_type), "annotations": annotations}],
    }
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index)}
    for blob in (config, manifest, layer):
        files["blobs/" + _digest(blob).replace(":", "/")] = blob
    return _tar_with(files)


def write_images(folder: Path, *, say: Say) -> list[Path]:
    """Write the archives of pause and busybox into `folder`."""
    folder.mkdir(exist_ok=True)
    write_pause(folder / "pause.tar", name=PAUSE, say=say)
    write_busybox(folder / "busybox.tar")
    return [folder / "pause.tar", folder / "busybox.tar"]


def write_busybox(target: Path) -> None:
    """Write the archive of busybox, whose entry point is its shell."""
    with TemporaryDirectory(prefix="image-", dir=target.parent) as folder:
        root = _busybox_root(Path(folder))
        target.write_bytes(image_archive(root, name=BUSYBOX_IMAGE, entrypoint=["/bin/sh"]))


def write_pause(target: Path, *, name: str, say: Say) -> None:
    """Write the archive of what holds a pod's namespaces: it waits, reaps and ends when told to."""
    with TemporaryDirectory(prefix="image-", dir=target.parent) as folder:
        root = Path(folder)
        if not _compile_pause(root / "pause"):
            say("no C compiler for static programs here: pause is a shell script of busybox")
            _busybox_root(root)
            (root / "pause").write_text(_PAUSE_SCRIPT)
            (root / "pause").chmod(0o755)
        target.write_bytes(image_archive(root, name=name, entrypoint=["/pause"]))


def _busybox_root(root: Path) -> Path:
    busybox = BUSYBOX.find()
    assert busybox is not None  # packages.require has seen to it
    for name in ("bin", "etc", "tmp", "dev", "proc", "sys"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    shutil.copy(busybox, root / "bin" / "busybox")
    (root / "bin" / "busybox").chmod(0o755)
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    return root


def _compile_pause(target: Path) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    command = [compiler, "-static", "-Os", "-x", "c", "-o", str(target), "-"]
    done = subprocess.run(command, input=_PAUSE_SOURCE, capture_output=True, text=True, check=False)
    return done.returncode == 0


def _tar_of(root: Path) -> bytes:
    def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = 0
        return member

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=as_root)
    return content.getvalue()


def _tar_with(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def _descriptor(blob: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
