"""Open the kernel log in the way that this process may."""

from pathlib import Path

from .kmsg import KmsgReader, KmsgUnreadableError
from .oomscore import has_capability
from .syslog import LogReader, SyslogReader

CAP_SYSLOG = 34
"""include/uapi/linux/capability.h."""


def open_kernel_log(*, path: Path, after_seq: int | None, proc: Path = Path("/proc")) -> LogReader:
    """Open /dev/kmsg; where that is denied, syslog(2). Raises KmsgUnreadableError."""
    try:
        return KmsgReader(path=path, after_seq=after_seq)
    except KmsgUnreadableError as error:
        denied = isinstance(error.__cause__, PermissionError)
        if not denied or not has_capability(CAP_SYSLOG, proc=proc):
            raise
    return SyslogReader(after_seq=after_seq)
