r"""Records of /dev/kmsg saved as text: `prio,seq,usec,flags[,caller=T123];text`, then ` KEY=value` lines of
their dictionary.

Source: Documentation/ABI/testing/dev-kmsg and kernel/printk/printk.c info_print_ext_header(). This is the one
text format that cannot be forged: the facility shows the writer (see kernel/facility.py), and a newline
inside a record stays `\x0a`.
"""

from oomkeeper.model.log import LogRecord

from ...escapes import decode_kmsg
from ...facility import split_priority
from ...lazy import lazy
from .frame import Frame, Kind

_RECORD = lazy(rb"(\d{1,10}),(\d{1,20}),(\d{1,20}),([^;,\s]*)((?:,[^;,]*)*);")
_CALLER = lazy(rb",caller=([TC]\d+)")
DICTIONARY = lazy(rb" [A-Z][A-Z0-9_]*=")
"""A dictionary line: device and subsystem of dev_printk(), never part of the message."""


def parse_kmsg_line(line: bytes) -> Frame | None:
    """Return the record's frame, or None for another line.

    `fragment` is set for flag `+` (3.5 to 4.9: a further piece of the line before) and for `c` (since 5.10: a
    pr_cont() that could not be appended because the record was full, or another CPU had printed).
    """
    found = _RECORD.match(line)
    if found is None:
        return None
    level, kernel = split_priority(int(found[1]))
    caller = _CALLER.match(found[5]) if found[5] else None
    text = line[found.end() :]
    record = LogRecord(
        text=decode_kmsg(text) if b"\\x" in text else text,
        usec=int(found[3]),
        seq=int(found[2]),
        caller=caller[1] if caller else None,
        level=level,
        kernel=kernel,
    )
    return Frame(record, Kind.KMSG, found.end(), fragment=found[4] in (b"+", b"c"))
