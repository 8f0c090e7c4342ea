"""One record of the kernel's log, from any text or device."""

from typing import NamedTuple


class LogRecord(NamedTuple):
    """One log record without its framing.

    `text` is bytes: the kernel prints whatever bytes a process put into its comm.
    """

    text: bytes
    """The message without level, timestamp, host, tag or caller prefix, and without the trailing newline. A
    record of several lines (the memcg statistics of kernels before 6.5, Mem-Info) holds them joined by
    b"\\n"."""
    usec: int | None = None
    """Microseconds since boot from the kernel's stamp (`[12345.678901]`); None if the text has none."""
    wall: str | None = None
    """Wall-clock time from the source, RFC 3339 if it could be converted; None if the source has none."""
    seq: int | None = None
    """Sequence number from /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""
    caller: bytes | None = None
    """`T1234` or `C0`, from kernels with CONFIG_PRINTK_CALLER."""
    level: int | None = None
    """Log level 0 to 7; None if the source has none."""
    kernel: bool = True
    """False for text that a process wrote (/dev/kmsg facility other than 0): never evidence. See
    kernel/facility.py."""
    quoted: bool = False
    """True for a kernel message that was found inside the text of another program (tolerant reading)."""
