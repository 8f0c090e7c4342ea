"""`oomkeeper explain [FILE|-]`: every OOM event in a kernel log, explained. Needs no cluster, no network
and no state.

A stream of any length: events are printed as they are found, and no more than one report is held in memory.
"""

import argparse
from collections.abc import Iterator
from itertools import chain

from oomkeeper.kernel.report import parse_records
from oomkeeper.model.units import count_text
from oomkeeper.resources.killrecord import KillRecord

from .errors import BAD_INPUT, BadInput, complain
from .explain_source import PROG, LogSource, open_sources
from .output import OUTPUTS, TEXT, write_kills

_EPILOG = """\
FILE is any text that holds kernel messages: dmesg in all its styles, raw /dev/kmsg, syslog, journalctl's
output, a paste from a ticket; plain or compressed (gzip, xz, bzip2, zstd). Without FILE this host's own
kernel log is read, which needs root or CAP_SYSLOG. FILE may also be what a panicked kernel left in pstore:
one part, all parts (/sys/fs/pstore/dmesg-*), or a folder of them (/var/lib/systemd/pstore).

Exit status: 0 whether or not there was an OOM kill, 2 when the input cannot be read (to its end)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FILE and --output."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="*",
        help="a log, or - for standard input; several only where they are the parts of a pstore dump",
    )
    parser.add_argument("-o", "--output", choices=OUTPUTS, default=TEXT, help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Print every event of the log. Raises BadInput where nothing of it can be read."""
    source = open_sources(args.file)
    kills = _explained(source)
    # Nothing is written before the first event or the end is reached: what is no log leaves stdout empty.
    first = next(kills, None)
    if first is None and source.error is not None:
        raise BadInput(source.error)
    write_kills(
        kills if first is None else chain((first,), kills),
        output=args.output,
        more=lambda: {"records": _records(source)},
        nothing=lambda: _nothing(source),
    )
    if source.error is not None:
        complain(PROG, source.error)
        return BAD_INPUT
    return 0


def _explained(source: LogSource) -> Iterator[KillRecord]:
    for kill in parse_records(source.records()):
        # Imported only if the log has an event.
        from oomkeeper.diagnosis import diagnose
        from oomkeeper.reporting.kill_json import kill_record

        source.found()
        yield kill_record(source.dated(kill), diagnose(kill))


def _records(source: LogSource) -> dict[str, int]:
    counts = source.counts
    return {
        "lines": counts.lines,
        "kernel": counts.kernel,
        "foreign": counts.foreign,
        "skipped": counts.skipped,
        "truncated": counts.truncated,
    }


def _nothing(source: LogSource) -> str:
    counts = source.counts
    if not counts.lines:
        return f"No OOM event: {source.what} is empty."
    return f"No OOM event in {source.what} ({count_text(counts.lines, 'line')} read)."
