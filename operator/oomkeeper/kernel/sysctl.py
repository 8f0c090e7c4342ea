"""Read and write the sysctls of the closed list under /proc/sys, and keep one drop-in file for the
persistent ones."""

import os
from collections.abc import Mapping
from pathlib import Path

from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES

from .bounded_read import UnsuitableFileError, read_bytes, read_text

DROP_IN_NAME = "99-zzz-oomkeeper.conf"
"""Sorts after the distribution's 99-sysctl.conf: systemd-sysctl applies files in the order of their names,
the last wins."""

_HEADER = (
    "# Written by oomkeeper from the policies named below; changed and removed with them.\n"
    "# Edit the OOMPolicy instead of this file.\n"
)


class SysctlError(Exception):
    """A sysctl could not be read or written; the message has the key and the reason."""

    def __init__(self, key: str, why: str, *, missing: bool = False) -> None:
        super().__init__(f"{key}: {why}")
        self.key = key
        self.why = why
        self.missing = missing
        """True where this kernel has no such key."""


class Sysctls:
    """The sysctls of one kernel, below a /proc/sys that may be mounted elsewhere."""

    def __init__(self, *, root: Path = Path("/proc/sys")) -> None:
        self._root = root

    def _path(self, key: str) -> Path:
        if key not in SYSCTL_RULES:
            raise SysctlError(key, "not in the list of sysctls that oomkeeper may write")
        return self._root.joinpath(*key.split("."))

    def read(self, key: str) -> int:
        """Return the value in force. Raises SysctlError."""
        path = self._path(key)
        try:
            return int(read_text(path).split()[0])
        except FileNotFoundError as error:
            raise SysctlError(key, "this kernel has no such sysctl", missing=True) from error
        except (OSError, ValueError, IndexError) as error:
            raise SysctlError(key, f"cannot be read: {error}") from error

    def write(self, key: str, value: int) -> None:
        """Set a value and read it back. Raises SysctlError, also when the kernel keeps another value than
        the one written."""
        rule = SYSCTL_RULES.get(key)
        path = self._path(key)
        if rule is None or not rule.minimum <= value <= rule.maximum:
            raise SysctlError(key, f"{value} is out of its range")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.write(fd, b"%d\n" % value)
            finally:
                os.close(fd)
        except FileNotFoundError as error:
            raise SysctlError(key, "this kernel has no such sysctl", missing=True) from error
        except OSError as error:
            raise SysctlError(key, f"cannot set it to {value}: {error.strerror}") from error
        kept = self.read(key)
        if kept != value:
            raise SysctlError(key, f"wrote {value}, the kernel kept {kept}")


def render_drop_in(values: Mapping[str, int], policies: Mapping[str, str]) -> str:
    """Return the text of the drop-in; `policies` has the policy of each key."""
    lines = [
        f"# {policies.get(key, 'unknown policy')}\n{key} = {value}\n" for key, value in sorted(values.items())
    ]
    return _HEADER + "".join(lines)


def write_drop_in(text: str | None, *, folder: Path) -> bool:
    """Make the drop-in hold `text` (None removes it); return whether the file changed.

    The new file is complete before it replaces the old one, so a crash leaves one of the two. Raises OSError.
    """
    path = folder / DROP_IN_NAME
    try:
        current: bytes | None = read_bytes(path)
    except FileNotFoundError:
        current = None
    except UnsuitableFileError:
        current = b""  # not ours: replaced, or removed
    if current == (None if text is None else text.encode()):
        return False
    if text is None:
        path.unlink()
        return True
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{DROP_IN_NAME}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return True


def find_setting(key: str, *, etc: Path = Path("/etc")) -> tuple[Path, int] | None:
    """Return the file under /etc that sets `key` last at boot, other than our own drop-in, with its value;
    None where none does.

    Order as in sysctl.d(5): drop-ins by name, then (where the distribution links it so) sysctl.conf as
    99-sysctl.conf.
    """
    files = sorted((etc / "sysctl.d").glob("*.conf"), key=lambda path: path.name)
    found: tuple[Path, int] | None = None
    for path in [etc / "sysctl.conf", *files]:
        if path.name == DROP_IN_NAME:
            continue
        try:
            text = read_text(path, errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            name = name.strip().lstrip("-").replace("/", ".")
            if equals and not line.lstrip().startswith(("#", ";")) and name == key:
                try:
                    found = (path, int(value.strip()))
                except ValueError:
                    continue
    return found
