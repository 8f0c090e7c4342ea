"""One record of the kernel's log, whatever text or device it was read from."""

from typing import NamedTuple


class LogRecord(NamedTuple):
    """One kernel log record with its framing taken off.

    `text` is bytes: the kernel prints whatever a process put into its comm.
    """

    text: bytes
    """The message without level, timestamp, host, tag or caller prefix, and without the trailing newline. A
    record of several lines (the memcg statistics of kernels before 6.5, Mem-Info) holds them joined by
    b"\\n"."""
    usec: int | None = None
    """Microseconds since boot, as the kernel stamped it (`[12345.678901]`); None where the text has none."""
    wall: str | None = None
    """The wall-clock time that the source gave, RFC 3339 where it could be made so; None where it gave
    none."""
    seq: int | None = None
    """Sequence number from /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""
    caller: bytes | None = None
    """`T1234` or `C0`, from kernels with CONFIG_PRINTK_CALLER."""
    level: int | None = None
    """Log level 0 to 7 where the source gave it."""
    kernel: bool = True
    """False for text that a process wrote (/dev/kmsg facility other than 0): never evidence."""
