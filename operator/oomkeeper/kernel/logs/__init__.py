"""Turns any text or stream that holds kernel messages into `LogRecord`s.

    with open_log("messages.1.gz") as stream:
        for record in read_relevant_records(stream, counts=counts):
            ...

What a record is: one record of the kernel's own buffer, in every format in which that can still be seen. A
record of several lines (Mem-Info; the cgroup's statistics before 6.5) is one LogRecord with b"\\n" inside,
whether the source escaped the newline (/dev/kmsg `\\x0a`, rsyslog `#012`), indented the further lines (dmesg,
journalctl), or parted them by field (JSON, export). Two sources leave no trace of it, and each of their lines
is a record of its own: syslog(2) and its readers (/proc/kmsg, `dmesg -S`, rsyslog's imklog, consoles) stamp
every line alike, and bare text has no stamps at all. Of bare text only Mem-Info's lines are put together, by
what they say.

Who wrote it: `kernel` is False for every text that is known to be a process's: /dev/kmsg and `<n>` of a
facility other than 0, another syslog tag, `kernel[123]`, journal entries that journald did not get from the
kernel, unstamped lines after any of these.

What a forger can do. comm (15 bytes of anything) and cgroup names are printed inside kernel lines, so no
escape or newline in a text ever begins a record; an unstamped line ends a process's message only where a
stamped line follows. Not to be told apart from the kernel: in plain syslog and journalctl text a local
process that sends with the tag `kernel` (`logger -t kernel`); in dmesg's text without -x, root writing to
/dev/kmsg; in syslog(2) text and bare text, a newline in a comm, which fits 14 bytes before the kernel's own
words go on; in bare text, anything. Raw /dev/kmsg and journal JSON or export cannot be forged.

Times: `usec` from the uptime stamp, `wall` as said in wall.py.
"""

from .counts import LogCounts
from .records import read_log, read_records
from .scan import read_relevant_log, read_relevant_records
from .source import LogUnreadableError, open_log

__all__ = [
    "LogCounts",
    "LogUnreadableError",
    "open_log",
    "read_log",
    "read_records",
    "read_relevant_log",
    "read_relevant_records",
]
