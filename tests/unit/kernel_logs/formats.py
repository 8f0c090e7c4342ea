"""Writers of every text format: what util-linux, rsyslog, journald, the kernel and Android's logd make of one
record.

Written from the formats' definitions (the modules of kernel.logs name them) and held against the real
programs in test_real_kill.py.
"""

import json
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

BOOT = datetime(2026, 11, 23, 8, 56, 34, tzinfo=UTC)
_LEVEL_NAMES = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")


class Said(NamedTuple):
    """One record as the kernel stores it."""

    text: bytes
    usec: int
    level: int
    seq: int
    caller: bytes | None = None


def _clock(record: Said) -> datetime:
    return BOOT + timedelta(microseconds=record.usec)


def _stamp(record: Said) -> bytes:
    return b"[%5d.%06d] " % divmod(record.usec, 1_000_000)


def _indented(prefix: bytes, record: Said, *, indent: int | None = None) -> bytes:
    pad = b" " * (len(prefix) if indent is None else indent)
    return prefix + record.text.replace(b"\n", b"\n" + pad) + b"\n"


def _each_line(prefix: bytes, record: Said) -> bytes:
    return b"".join(prefix + line + b"\n" for line in record.text.split(b"\n"))


def kmsg(record: Said) -> bytes:
    text = b"".join(bytes((c,)) if 32 <= c < 127 and c != 0x5C else b"\\x%02x" % c for c in record.text)
    caller = b",caller=" + record.caller if record.caller else b""
    return b"%d,%d,%d,-%b;" % (record.level, record.seq, record.usec, caller) + text + b"\n"


def kmsg_with_dictionary(record: Said) -> bytes:
    return kmsg(record) + b" SUBSYSTEM=memory\n DEVICE=+memory:memory0\n"


def dmesg(record: Said) -> bytes:
    return _indented(_stamp(record), record)


def dmesg_caller(record: Said) -> bytes:
    caller = b"[%b] " % (record.caller or b"T1").rjust(6)
    return _indented(_stamp(record)[:-1] + caller, record)


def dmesg_decode(record: Said) -> bytes:
    return _indented(b"kern  :%-6s: " % _LEVEL_NAMES[record.level].encode() + _stamp(record), record)


def dmesg_ctime(record: Said) -> bytes:
    return _indented(_clock(record).strftime("[%a %b %e %H:%M:%S %Y] ").encode(), record)


def dmesg_ctime_german(record: Said) -> bytes:
    months = ("Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez")
    clock = _clock(record)
    day = ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So")[clock.weekday()]
    stamp = f"[{day} {months[clock.month - 1]} {clock:%e %H:%M:%S %Y}] "
    return _indented(stamp.encode(), record)


def dmesg_iso(record: Said) -> bytes:
    return _indented(_clock(record).strftime("%Y-%m-%dT%H:%M:%S,%f+00:00 ").encode(), record)


def dmesg_color(record: Said) -> bytes:
    prefix = _stamp(record)
    return b"\x1b[32m" + prefix + b"\x1b[0m" + record.text.replace(b"\n", b"\n" + b" " * len(prefix)) + b"\n"


def dmesg_crlf(record: Said) -> bytes:
    return dmesg(record).replace(b"\n", b"\r\n")


def dmesg_quoted(record: Said) -> bytes:
    return b"> " + dmesg(record)[:-1].replace(b"\n", b"\n> ") + b"\n"


def syslog2(record: Said) -> bytes:
    return _each_line(b"<%d>" % record.level + _stamp(record), record)


def rsyslog(record: Said) -> bytes:
    text = record.text.replace(b"\n", b"#012").replace(b"\t", b"#011")
    return _clock(record).strftime("%b %e %H:%M:%S node-1 kernel: ").encode() + _stamp(record) + text + b"\n"


def rsyslog_without_host(record: Said) -> bytes:
    return rsyslog(record).replace(b"node-1 ", b"")


def rsyslog_without_stamp(record: Said) -> bytes:
    return rsyslog(record).replace(b"kernel: " + _stamp(record), b"kernel: ")


def rsyslog_iso(record: Said) -> bytes:
    text = record.text.replace(b"\n", b"#012")
    return (
        _clock(record).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00 node-1 kernel: ").encode()
        + _stamp(record)
        + text
        + b"\n"
    )


def rfc5424(record: Said) -> bytes:
    head = f"<{record.level}>1 {_clock(record):%Y-%m-%dT%H:%M:%S.%fZ} node-1 kernel - - - ".encode()
    return head + _stamp(record) + record.text.replace(b"\n", b"#012") + b"\n"


def huawei(record: Said) -> bytes:
    names = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
    return (
        f"{names[record.level]}|kernel[-]|".encode()
        + _stamp(record)[:-1]
        + b" "
        + record.text.replace(b"\n", b"#012")
        + b"\n"
    )


def tag_alone(record: Said) -> bytes:
    return b"kernel: " + _stamp(record) + record.text.replace(b"\n", b"#012") + b"\n"


def journal_short(record: Said) -> bytes:
    return _indented(_clock(record).strftime("%b %d %H:%M:%S node-1 kernel: ").encode(), record)


def journal_short_precise(record: Said) -> bytes:
    return _indented(_clock(record).strftime("%b %d %H:%M:%S.%f node-1 kernel: ").encode(), record)


def journal_short_iso(record: Said) -> bytes:
    return _indented(_clock(record).strftime("%Y-%m-%dT%H:%M:%S+0000 node-1 kernel: ").encode(), record)


def journal_short_full(record: Said) -> bytes:
    return _indented(_clock(record).strftime("%a %Y-%m-%d %H:%M:%S UTC node-1 kernel: ").encode(), record)


def journal_short_monotonic(record: Said) -> bytes:
    return _indented(_stamp(record) + b"node-1 kernel: ", record)


def journal_short_unix(record: Said) -> bytes:
    return _indented(
        f"{int(_clock(record).timestamp())}.{_clock(record):%f} node-1 kernel: ".encode(), record
    )


def _fields(record: Said) -> dict[str, str]:
    wall = int(_clock(record).timestamp()) * 1_000_000 + _clock(record).microsecond
    return {
        "__CURSOR": f"s=0;i={record.seq:x}",
        "__REALTIME_TIMESTAMP": str(wall),
        "__MONOTONIC_TIMESTAMP": str(record.usec + 77),
        "_SOURCE_MONOTONIC_TIMESTAMP": str(record.usec),
        "_TRANSPORT": "kernel",
        "PRIORITY": str(record.level),
        "SYSLOG_FACILITY": "0",
        "SYSLOG_IDENTIFIER": "kernel",
        "_HOSTNAME": "node-1",
    }


def _message(record: Said) -> object:
    try:
        text = record.text.decode()
    except UnicodeDecodeError:
        return list(record.text)
    return text if all(c >= " " or c in "\n\t" for c in text) else list(record.text)


def journal_json(record: Said) -> bytes:
    return json.dumps({**_fields(record), "MESSAGE": _message(record)}).encode() + b"\n"


def journal_json_pretty(record: Said) -> bytes:
    return (
        json.dumps(
            {**_fields(record), "MESSAGE": _message(record)}, indent="\t", separators=(",", " : ")
        ).encode()
        + b"\n"
    )


def journal_export(record: Said) -> bytes:
    out = b"".join(f"{name}={value}\n".encode() for name, value in _fields(record).items())
    if b"\n" in record.text or not record.text.isascii():
        return out + b"MESSAGE\n" + struct.pack("<Q", len(record.text)) + record.text + b"\n\n"
    return out + b"MESSAGE=" + record.text + b"\n\n"


def journal_verbose(record: Said) -> bytes:
    head = f"{_clock(record):%a %Y-%m-%d %H:%M:%S.%f} UTC [s=0;i={record.seq:x};b=1;m=1;t=1;x=1]\n"
    body = "".join(
        f"    {name}={value}\n" for name, value in _fields(record).items() if not name.startswith("__")
    )
    return (head + body).encode() + b"    MESSAGE=" + record.text.replace(b"\n", b"\n            ") + b"\n"


def talos(record: Said) -> bytes:
    return (
        f"10.5.0.2: kern: {_LEVEL_NAMES[record.level]}: ".encode()
        + f"[{_clock(record):%Y-%m-%dT%H:%M:%S.%f}000Z]: ".encode()
        + record.text
        + b"\n"
    )


def logcat(record: Said) -> bytes:
    letter = "AAFEWIID"[record.level]
    head = f"{_clock(record):%m-%d %H:%M:%S.%f}"[:-3] + f"     0     0 {letter} "
    tag, separator, rest = record.text.partition(b": ")
    if not separator or b" " in tag:
        tag, rest = b"", record.text
    return head.encode() + tag.ljust(8) + b": " + rest + b"\n"


def bare(record: Said) -> bytes:
    return record.text + b"\n"


Writer = Callable[[Said], bytes]
WHOLE: Sequence[Writer] = (
    kmsg,
    kmsg_with_dictionary,
    dmesg,
    dmesg_caller,
    dmesg_decode,
    dmesg_ctime,
    dmesg_ctime_german,
    dmesg_iso,
    dmesg_color,
    dmesg_crlf,
    dmesg_quoted,
    rsyslog,
    rsyslog_without_host,
    rsyslog_without_stamp,
    rsyslog_iso,
    rfc5424,
    huawei,
    tag_alone,
    journal_short,
    journal_short_precise,
    journal_short_iso,
    journal_short_full,
    journal_short_monotonic,
    journal_short_unix,
    journal_json,
    journal_json_pretty,
    journal_export,
)
"""Formats that keep a record of several lines together."""
ONE_LINE: Sequence[Writer] = (*WHOLE, syslog2, talos, logcat, journal_verbose)
"""Formats that keep a record of one line as it is."""
STAMPED = frozenset(
    (
        kmsg,
        kmsg_with_dictionary,
        dmesg,
        dmesg_caller,
        dmesg_decode,
        dmesg_color,
        dmesg_crlf,
        dmesg_quoted,
        rsyslog,
        rsyslog_without_host,
        rsyslog_iso,
        rfc5424,
        huawei,
        tag_alone,
        journal_short_monotonic,
        journal_json,
        journal_json_pretty,
        journal_export,
        syslog2,
        journal_verbose,
    )
)
LEVELLED = frozenset(
    (
        kmsg,
        kmsg_with_dictionary,
        dmesg_decode,
        rfc5424,
        huawei,
        journal_json,
        journal_json_pretty,
        journal_export,
        syslog2,
        talos,
        journal_verbose,
    )
)
