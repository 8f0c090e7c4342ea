"""The work of `oomkeeper explain`: every OOM event in a kernel log, explained. Needs no cluster, no network
and no state, and no click (see `plain_explain`).

Streams of any length: events are printed as they are found, and at most one report is held in memory.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from oomkeeper.kernel.report import parse_records
from oomkeeper.model.units import count_text
from oomkeeper.resources.killrecord import KillRecord

from .errors import BAD_INPUT, BadInput, complain
from .explain_source import PROG, LogSource, open_sources
from .output import write_kills


def explain_logs(names: Sequence[str], *, output: str) -> int:
    """Print the events in the logs called `names`, and return the exit status. Raises BadInput."""
    source = open_sources(list(names))
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
