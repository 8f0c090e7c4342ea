"""__main__.py of the plugin: unpacks the archive once into the user's cache and runs `kubectl oom` there.

msgspec has a part in C, which cannot be imported from an archive. This file must be understood by older
Pythons as well, to say which one is needed."""

import atexit
import os
import shutil
import stat
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

KEY = "@KEY@"
"""Hash of the archive's content: another build has a folder of its own."""


def fail(message: str) -> None:
    """End with one line and exit status 2."""
    sys.stderr.write(f"kubectl oom: {message}\n")
    sys.exit(2)


def native_tag() -> str:
    """Return how the archive calls this Python on this platform."""
    machine = os.uname().machine
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    libc = "-musl" if "musl" in (sysconfig.get_config_var("SOABI") or "") else ""
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{sys.platform}-{machine}{libc}"


def cache_folder() -> "Path | None":
    """Return the user's own cache folder; None where it cannot be written or is not the user's alone."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path("~/.cache").expanduser()) / "oomkeeper-plugin"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return folder if own and os.access(folder, os.W_OK) else None


def unpack(tag: str, target: Path) -> None:
    """Write what this Python needs of the archive into a folder; end with one line where it has nothing."""
    with zipfile.ZipFile(str(Path(__file__).parent)) as archive:
        names = archive.namelist()
        known = {name.split("/")[1] for name in names if name.startswith("native/")}
        if tag not in known:
            target.rmdir()
            fail(f"this build has no part for {tag}; it has {', '.join(sorted(known))}")
        for name in names:
            if name.startswith(("pure/", f"native/{tag}/")):
                archive.extract(name, str(target))


def unpacked(tag: str) -> Path:
    """Return the folder with the archive's content; unpack it where that has not been done before."""
    cache = cache_folder()
    if cache is None:
        target = Path(tempfile.mkdtemp(prefix="kubectl-oom-"))
        atexit.register(shutil.rmtree, str(target), ignore_errors=True)
        unpack(tag, target)
        return target
    target = cache / f"{KEY}-{tag}"
    if not target.is_dir():
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=str(cache)))
        unpack(tag, partial)
        try:
            partial.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(str(partial), ignore_errors=True)
    return target


def main() -> int:
    """Run `kubectl oom`, or its completion where this file is called kubectl_complete-oom."""
    if sys.version_info < (3, 11):  # noqa: UP036
        fail(f"Python 3.11 or newer is needed, this is {sys.version_info[0]}.{sys.version_info[1]}")
    tag = native_tag()
    root = unpacked(tag)
    sys.path[0:0] = [str(root / "pure"), str(root / "native" / tag)]
    if Path(sys.argv[0]).name.startswith("kubectl_complete"):
        from oomkeeper.cli.kubectl_complete import main as run
    else:
        from oomkeeper.cli.kubectl_oom import main as run
    return run()


if __name__ == "__main__":
    sys.exit(main())
