"""`oomkeeper simulate [FILE|-]`: the process that would have been killed, or whether the node would have
panicked, under other settings, for every OOM event whose report has the task table (vm.oom_dump_tasks=1)."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click
from msgspec import to_builtins

from oomkeeper.kernel.report import parse_records
from oomkeeper.model.units import count_text

from .errors import BAD_INPUT, BadInput, complain
from .explain_source import LogSource, open_source
from .host import FILE, WholeNumber, output_option

if TYPE_CHECKING:
    from oomkeeper.reporting.whatif_record import Simulation

PROG = "oomkeeper simulate"
_MAX_COMM_BYTES = 15
"""TASK_COMM_LEN less its NUL."""

_EPILOG = """\
FILE is what `oomkeeper explain` accepts; without FILE, this host's kernel log is read. The score is computed
as the kernel of the log does it, and compared with the process that it really chose. Without a setting the
event is scored with its recorded values.

Exit status: 0 for any outcome, 2 when the command line or the input is wrong, or when no table of the log
has a process that --oom-score-adj names."""


def _adjustments(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    return tuple(map(_adjustment, values))


def _adjustment(text: str) -> tuple[str, int]:
    """Parse `mysqld=-500`; a comm may itself contain `=`. Raises click.BadParameter."""
    name, equals, number = text.rpartition("=")
    digits = number.removeprefix("-")
    if not equals or not name or not (digits.isascii() and digits.isdigit()):
        raise click.BadParameter(f"{text!r} is not PID_OR_COMM=VALUE")
    if len(digits) > 4 or int(digits) > 1000:
        raise click.BadParameter(f"{number} in {text!r} is not between -1000 and 1000")
    if len(name.encode("utf-8", "surrogateescape")) > _MAX_COMM_BYTES and not name.isdigit():
        raise click.BadParameter(
            f"{name!r} is longer than the {_MAX_COMM_BYTES} bytes that the kernel keeps of a name"
        )
    return name, int(number)


class _Options(NamedTuple):
    """What was asked."""

    adjustments: tuple[tuple[str, int], ...]
    kill_allocating_task: bool
    panic_on_oom: int
    output: str
    top: int


@click.command(epilog=_EPILOG)
@click.argument("file", required=False, type=FILE)
@output_option("text", "json")
@click.option(
    "--oom-score-adj",
    metavar="PID_OR_COMM=VALUE",
    multiple=True,
    callback=_adjustments,
    help="-1000 (never) to 1000 (first) for a process, by its pid or name; can be repeated.",
)
@click.option("--oom-kill-allocating-task", is_flag=True, help="vm.oom_kill_allocating_task=1.")
@click.option(
    "--panic-on-oom", type=click.Choice((0, 1, 2)), default=0, help="vm.panic_on_oom.", show_default=True
)
@click.option(
    "--top",
    metavar="N",
    type=WholeNumber(1, 999_999_999),
    default=10,
    help="Processes shown as text, highest points first.",
    show_default=True,
)
def command(
    file: str | None,
    output: str,
    oom_score_adj: tuple[tuple[str, int], ...],
    oom_kill_allocating_task: bool,
    panic_on_oom: int,
    top: int,
) -> int:
    """Show which process other settings would have killed, or whether the node would have panicked.

    FILE is a log, or - for standard input.
    """
    options = _Options(oom_score_adj, oom_kill_allocating_task, panic_on_oom, output, top)
    source = open_source(file)
    seen = _Seen({name for name, _ in options.adjustments})
    events = _events(source, options, seen)
    first = next(events, None)
    if first is None and source.error is not None:
        raise BadInput(source.error)
    _write(first, events, options)
    if source.error is not None:
        complain(PROG, source.error)
        return BAD_INPUT
    if output == "text":
        _report_rest(first is None, source, seen)
    if first is not None and seen.unmatched:
        complain(PROG, f"no task table of {source.what} has a process {', '.join(sorted(seen.unmatched))}")
        return BAD_INPUT
    return 0


class _Seen:
    """Counts of the events in the log."""

    def __init__(self, names: set[str]) -> None:
        self.unmatched = names
        self.events = 0
        self.without_table = 0


def _events(source: LogSource, options: _Options, seen: _Seen) -> Iterator["Simulation"]:
    for kill in parse_records(source.records(), excerpt=source.excerpt):
        from oomkeeper.diagnosis.whatif import Settings, simulate
        from oomkeeper.reporting.whatif_record import simulation

        source.found()
        seen.events += 1
        if not kill.tasks:
            seen.without_table += 1
            continue
        settings = Settings(
            adjustments=options.adjustments,
            kill_allocating_task=options.kill_allocating_task,
            panic_on_oom=options.panic_on_oom,
        )
        outlook = simulate(kill, settings)
        seen.unmatched &= set(outlook.unmatched)
        yield simulation(source.dated(kill), settings, outlook)


def _write(first: "Simulation | None", rest: Iterator["Simulation"], options: _Options) -> None:
    def everything() -> Iterator["Simulation"]:
        if first is not None:
            yield first
        yield from rest

    if options.output == "text":
        from oomkeeper.reporting.whatif_text import outlook_pages

        from .terminal import terminal_of

        means = terminal_of(sys.stdout)
        for page in outlook_pages(
            everything(), top=options.top, width=means.width, colour=means.colour, unicode=means.unicode
        ):
            sys.stdout.write(page)
        return
    # One document, one line per event; ASCII, so that every locale can encode it.
    between = '{"simulations": [\n'
    for event in everything():
        sys.stdout.write(between + json.dumps(to_builtins(event)))
        between = ",\n"
    sys.stdout.write('{"simulations": []}\n' if between.startswith("{") else "\n]}\n")


def _report_rest(empty: bool, source: LogSource, seen: _Seen) -> None:
    if not seen.events:
        lines = count_text(source.counts.lines, "line")
        sys.stdout.write(f"No OOM event in {source.what} ({lines} read).\n")
    elif empty or seen.without_table:
        events = count_text(seen.without_table, "event")
        sys.stdout.write(
            f"{events} without a task table: vm.oom_dump_tasks was 0, or the log is incomplete.\n"
        )
