"""The syslog facility: the proof of who wrote a log record.

The kernel's own records have facility 0 (LOG_KERN). A process that writes to /dev/kmsg gets the facility it
asks for, but never 0: devkmsg_write() (kernel/printk/printk.c) replaces 0 by 1 (LOG_USER). A record with
another facility is therefore never evidence of an OOM kill, whatever its text says.
"""

LOG_KERN = 0

LEVELS = {
    b"emerg": 0,
    b"panic": 0,
    b"alert": 1,
    b"crit": 2,
    b"err": 3,
    b"error": 3,
    b"warn": 4,
    b"warning": 4,
    b"notice": 5,
    b"info": 6,
    b"debug": 7,
}
"""Names of the syslog(3) levels as util-linux, rsyslog, busybox and Talos write them."""


def split_priority(priority: int) -> tuple[int, bool]:
    """Return (level, written by the kernel) of a priority, which is `facility << 3 | level` (RFC 5424,
    6.2.1)."""
    return priority & 7, priority >> 3 == LOG_KERN
