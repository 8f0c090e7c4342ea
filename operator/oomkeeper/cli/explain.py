"""`oomkeeper explain [FILE|-]`: every OOM event in a kernel log, explained. Needs no cluster, no network
and no state.

Streams of any length: events are printed as they are found, and at most one report is held in memory.
"""

from collections.abc import Iterator
from itertools import chain

import click

from oomkeeper.kernel.report import parse_records
from oomkeeper.model.units import count_text
from oomkeeper.resources.killrecord import KillRecord

from .errors import BAD_INPUT, BadInput, complain
from .explain_source import PROG, LogSource, open_sources
from .host import FILE, output_option
from .output import OUTPUTS, write_kills

_EPILOG = """\
FILE is any text with kernel messages: dmesg in any of its styles, raw /dev/kmsg, syslog, the output of
journalctl, Kubernetes events, a cloud provider's JSON, text pasted from a ticket; plain or compressed (gzip,
xz, bzip2, zstd). Without FILE, this host's kernel log is read, which needs root or CAP_SYSLOG. FILE can also
be what a panicked kernel left in pstore: one part, all parts (/sys/fs/pstore/dmesg-*), or a directory of them
(/var/lib/systemd/pstore).

Exit status: 0 whether or not there was an OOM kill, 2 when the input cannot be read (to its end)."""


@click.command(epilog=_EPILOG)
@click.argument("file", nargs=-1, type=FILE)
@output_option(*OUTPUTS)
def command(file: tuple[str, ...], output: str) -> int:
    """Explain the OOM kills in a kernel log: a file, standard input, or this host's log.

    FILE is a log, or - for standard input; several only if they are the parts of a pstore dump.
    """
    source = open_sources(list(file))
    kills = _explained(source)
    # Nothing is written before the first event or the end: input that is not a log leaves stdout empty.
    first = next(kills, None)
    if first is None and source.error is not None:
        raise BadInput(source.error)
    write_kills(
        kills if first is None else chain((first,), kills),
        output=output,
        more=lambda: {"records": _records(source)},
        nothing=lambda: _nothing(source),
        signs=source.signs,
    )
    if source.error is not None:
        complain(PROG, source.error)
        return BAD_INPUT
    return 0


def _explained(source: LogSource) -> Iterator[KillRecord]:
    kills = parse_records(source.records(), excerpt=source.excerpt)
    if (first := next(kills, None)) is None:
        return
    # Imported only if the log has an event.
    from oomkeeper.diagnosis import RepeatedVictims, diagnose
    from oomkeeper.reporting.kill_record import kill_record

    repeated = RepeatedVictims()
    for kill in chain((first,), kills):
        source.found()
        yield kill_record(source.dated(kill), repeated.advise(kill, diagnose(kill)))


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
