"""Where tracefs is.

systemd mounts it on /sys/kernel/tracing of every host; a small system may not. The mount can then be made for
this process alone: fsopen(2) and fsmount(2) (since 5.2, CAP_SYS_ADMIN) give a file descriptor of a mount that
is attached nowhere, so that the host's mount table does not change.
"""

import os
from pathlib import Path

MOUNT_POINT = Path("/sys/kernel/tracing")
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
"""System call numbers: since 5.2 the same on all architectures that this runs on."""
_CLOEXEC = 1
_CMD_CREATE = 6
_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8
"""include/uapi/linux/mount.h: MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC."""


class TracefsUnavailableError(Exception):
    """tracefs, or a file in it, cannot be used; the message says why and what to do."""


class Tracefs:
    """A tracefs mount, as long as it is not closed."""

    def __init__(self, root: Path, *, fd: int | None = None) -> None:
        self.root = root
        self._fd = fd

    @classmethod
    def find(cls, mount_point: Path = MOUNT_POINT) -> "Tracefs":
        """Return the mount at this place, or one of this process's own. Raises TracefsUnavailableError."""
        if (mount_point / "instances").is_dir():
            return cls(mount_point)
        try:
            fd = _mount()
        except OSError as error:
            raise TracefsUnavailableError(
                f"tracefs is not mounted on {mount_point} and cannot be mounted: {error.strerror}"
            ) from error
        return cls(Path(f"/proc/self/fd/{fd}"), fd=fd)

    def close(self) -> None:
        """Release the mount, if it is this process's own."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _mount() -> int:
    context = _syscall(_FSOPEN, b"tracefs", _CLOEXEC)
    try:
        _syscall(_FSCONFIG, context, _CMD_CREATE, None, None, 0)
        return _syscall(_FSMOUNT, context, _CLOEXEC, _NOSUID_NODEV_NOEXEC)
    finally:
        os.close(context)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    import ctypes  # a megabyte, which most nodes never need

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *passed))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
