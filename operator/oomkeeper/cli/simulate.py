"""`oomkeeper simulate [FILE|-]`: who would have died, or whether the node would have panicked, under other
settings, for every OOM event of a log whose report has the table of tasks (vm.oom_dump_tasks=1)."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from oomkeeper.kernel.report import parse_records
from oomkeeper.model.units import count_text

from .errors import BAD_INPUT, BadInput, complain
from .explain_source import LogSource, open_source

PROG = "oomkeeper simulate"
_TOP = 10
_MOST_BYTES = 15
"""TASK_COMM_LEN less its NUL."""

_EPILOG = """\
FILE is what `oomkeeper explain` takes; without FILE this host's own kernel log is read. The score is worked
out as the kernel of the log does it, and held against the process that it really chose. Without a setting
the event is scored as it was.

Exit status: 0 whatever came out, 2 when the command line or the input is wrong, or when no table of the log
has a process that --oom-score-adj names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """FILE, --output and the settings."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", nargs="?", help="a log, or - for standard input")
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="default: %(default)s"
    )
    parser.add_argument(
        "--oom-score-adj",
        metavar="PID_OR_COMM=VALUE",
        action="append",
        default=[],
        type=_adjustment,
        help="-1000 (never) to 1000 (first) for a process, by its pid or its name; may be repeated",
    )
    parser.add_argument(
        "--oom-kill-allocating-task", action="store_true", help="vm.oom_kill_allocating_task=1"
    )
    parser.add_argument("--panic-on-oom", type=int, choices=(0, 1, 2), default=0, help="vm.panic_on_oom")
    parser.add_argument(
        "--top", type=_count, default=_TOP, help="processes shown as text, highest points first (%(default)s)"
    )


def _adjustment(text: str) -> tuple[str, int]:
    """`mysqld=-500`; a comm may itself hold `=`."""
    name, equals, value = text.rpartition("=")
    number = value.removeprefix("-")
    if not equals or not name or not (number.isascii() and number.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not PID_OR_COMM=VALUE")
    if len(number) > 4 or int(number) > 1000:
        raise argparse.ArgumentTypeError(f"{value} of {text!r} is not between -1000 and 1000")
    if len(name.encode("utf-8", "surrogateescape")) > _MOST_BYTES and not name.isdigit():
        raise argparse.ArgumentTypeError(
            f"{name!r} is longer than the {_MOST_BYTES} bytes that the kernel keeps of a name"
        )
    return name, int(value)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1 on")
    return int(text)


class _Seen:
    """What was met on the way through the log."""

    def __init__(self, names: set[str]) -> None:
        self.unmatched = names
        self.events = 0
        self.without_table = 0


def run(args: argparse.Namespace) -> int:
    """Print every event with a task table. Raises BadInput where nothing of the log can be read."""
    source = open_source(args.file)
    seen = _Seen({name for name, _ in args.oom_score_adj})
    events = _events(source, args, seen)
    first = next(events, None)
    if first is None and source.error is not None:
        raise BadInput(source.error)
    _write(first, events, args)
    if source.error is not None:
        complain(PROG, source.error)
        return BAD_INPUT
    if args.output == "text":
        _say_rest(first is None, source, seen)
    if first is not None and seen.unmatched:
        complain(PROG, f"no task table of {source.what} has a process {', '.join(sorted(seen.unmatched))}")
        return BAD_INPUT
    return 0


def _events(source: LogSource, args: argparse.Namespace, seen: _Seen) -> Iterator[dict[str, Any]]:
    for kill in parse_records(source.records()):
        from oomkeeper.diagnosis.whatif import Settings, simulate
        from oomkeeper.reporting.whatif_json import outlook_to_json

        source.found()
        seen.events += 1
        if not kill.tasks:
            seen.without_table += 1
            continue
        settings = Settings(
            adjustments=tuple(args.oom_score_adj),
            kill_allocating_task=args.oom_kill_allocating_task,
            panic_on_oom=args.panic_on_oom,
        )
        outlook = simulate(kill, settings)
        seen.unmatched &= set(outlook.unmatched)
        yield outlook_to_json(source.dated(kill), settings, outlook)


def _write(first: dict[str, Any] | None, rest: Iterator[dict[str, Any]], args: argparse.Namespace) -> None:
    def everything() -> Iterator[dict[str, Any]]:
        if first is not None:
            yield first
        yield from rest

    if args.output == "text":
        from oomkeeper.reporting.whatif_text import outlook_pages

        from .terminal import terminal_of

        means = terminal_of(sys.stdout)
        for page in outlook_pages(
            everything(), top=args.top, width=means.width, colour=means.colour, unicode=means.unicode
        ):
            sys.stdout.write(page)
        return
    # One document, one line an event; ASCII, so that any locale's encoding holds it.
    between = '{"simulations": [\n'
    for event in everything():
        sys.stdout.write(between + json.dumps(event))
        between = ",\n"
    sys.stdout.write('{"simulations": []}\n' if between.startswith("{") else "\n]}\n")


def _say_rest(empty: bool, source: LogSource, seen: _Seen) -> None:
    if not seen.events:
        lines = count_text(source.counts.lines, "line")
        sys.stdout.write(f"No OOM event in {source.what} ({lines} read).\n")
    elif empty or seen.without_table:
        events = count_text(seen.without_table, "event")
        sys.stdout.write(f"{events} without a task table: vm.oom_dump_tasks was 0, or the log is cut.\n")
