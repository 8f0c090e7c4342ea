"""`kubectl oom report`: the OOM kills of a cluster or a namespace over a window of time."""

import gc
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import click

from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.reporting.cluster_coverage import ClusterFacts
from oomkeeper.reporting.cluster_report import (
    ClusterReport,
    cluster_report,
    incidents_of_workloads,
    with_beginnings,
)
from oomkeeper.reporting.report_tables import GROUPS
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNode
from oomkeeper.resources.oomreport import OOMReport

from .cluster import Target, cluster_options, connected
from .cluster_client import ClusterClient
from .errors import BadInput, CliError
from .host import PATH, output_option
from .rollouts import RolloutReader
from .terminal import terminal_of
from .typed_lists import InterruptedListError, TypedItems, list_typed

_EPILOG = """\
The report of one namespace needs no more than the right to list oomincidents there, which the ClusterRole
view includes; what only a cluster administrator may read is then named under Coverage.

Incidents hold one week of hours, so --since is 7d at most. docs/reports.md explains each figure.

Exit status: 0 whatever was found, 1 when the API server refuses or cannot be reached, 2 for a wrong command
line."""

FORMATS = ("text", "markdown", "json", "yaml", "csv", "html")
MAX_SINCE_SECONDS = 7 * 86400
MAX_BEGINNINGS = 10
"""Workloads whose rollouts are read."""
_SINCE = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?", re.ASCII)
_CLOCK_TOLERANCE_SECONDS = 2.0


class Findings(NamedTuple):
    """What was read from the cluster, and the window."""

    incidents: list[OOMIncident]
    start: float
    end: float


def since_seconds(text: str) -> int:
    """Parse `7d`, `36h`, `90m` or `1d12h`. Raises BadInput for anything else and for more than 7 days."""
    found = _SINCE.fullmatch(text)
    days, hours, minutes = (int(part or 0) for part in (found.groups() if found else ("", "", "")))
    seconds = days * 86400 + hours * 3600 + minutes * 60
    if not seconds:
        raise BadInput(f"--since {text!r}: write a time such as 7d, 36h or 90m")
    if seconds > MAX_SINCE_SECONDS:
        raise BadInput(f"--since {text!r}: incidents hold one week of hours; write 7d at most")
    return seconds


@click.command(epilog=_EPILOG)
@click.option(
    "--since", metavar="TIME", default="7d", show_default=True, help="Time to look back: 7d, 36h, 90m."
)
@click.option("--by", type=click.Choice(GROUPS), help="Only this list, with all its rows.")
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Rows of each list in text and Markdown without --by.",
)
@click.option("-l", "--selector", metavar="LABELS", help="Only incidents with these labels.")
@cluster_options(namespaced=True)
@click.option(
    "--file", "path", metavar="FILE", type=PATH, help="Write to this file instead of standard output."
)
@output_option(*FORMATS)
def command(
    *,
    since: str,
    by: str | None,
    top: int,
    selector: str | None,
    target: Target,
    path: Path | None,
    output: str,
) -> int:
    """Report the OOM kills of the cluster, or of one namespace: when, why, whose, and what to do."""
    with _without_cycle_collection():
        report, found = _read(target, seconds=since_seconds(since), selector=selector)
        parts = _rendered(report, found, output=output, by=by, top=top, to_file=path is not None)
        if path is None:
            _write(parts)
        else:
            _write_file(path, parts)
    return 0


@contextmanager
def _without_cycle_collection() -> Iterator[None]:
    """Switch Python's collector of cycles off: one run makes many objects and drops none, and to look for
    cycles among them takes a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _read(target: Target, *, seconds: int, selector: str | None) -> tuple[ClusterReport, Findings]:
    query = {"labelSelector": selector} if selector else {}
    with connected(target) as client:
        try:
            try:
                return _counted(client, target, seconds=seconds, selector=selector, paged=False, query=query)
            except InterruptedListError:
                return _counted(client, target, seconds=seconds, selector=selector, paged=True, query=query)
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN and target.namespace is None:
                raise CliError(f"{error}; for the report of one namespace, write -n NAMESPACE") from error
            raise


def _counted(
    client: ClusterClient,
    target: Target,
    *,
    seconds: int,
    selector: str | None,
    paged: bool,
    query: dict[str, str],
) -> tuple[ClusterReport, Findings]:
    """Count the incidents while they arrive. Raises ApiError."""
    facts = _facts(client)
    end = time.time()
    # The kills have the times of the cluster, which a laptop's clock may not have.
    skew = client.clock_skew_seconds or 0.0
    if abs(skew) > _CLOCK_TOLERANCE_SECONDS:
        end += skew
    items = TypedItems(client, OOMIncident, "oomincidents", namespace=target.namespace, paged=paged, **query)
    kept: list[OOMIncident] = []

    def arriving() -> Iterator[OOMIncident]:
        for one in items:
            kept.append(one)
            yield one

    report = cluster_report(
        arriving(),
        facts=facts,
        start=end - seconds,
        end=end,
        namespace=target.namespace,
        selector=selector,
        malformed=lambda: items.malformed,
    )
    reader = RolloutReader(client)
    first = incidents_of_workloads(kept, report.workloads[:MAX_BEGINNINGS])
    began = [reader.beginning(objects, now=end) for objects in first]
    return with_beginnings(report, began), Findings(kept, end - seconds, end)


def _facts(client: ClusterClient) -> ClusterFacts:
    not_read = []

    def read(kind: Any, plural: str, name: str, tells: str) -> Any:
        try:
            return list_typed(client, kind, plural).items
        except ApiError as error:
            if error.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
            forbidden = error.status == HTTPStatus.FORBIDDEN
            reason = "you may not list" if forbidden else "the API server does not have"
            not_read.append(f"Not known, because {reason} {name}: {tells}.")
            return None

    nodes = read(OOMNode, "oomnodes", "OOMNodes", "kills without a record, and nodes without an agent")
    reports = read(OOMReport, "oomreports", "OOMReports", "silent agents and wrong clocks")
    return ClusterFacts(nodes=nodes, reports=reports, not_read=tuple(not_read))


def _rendered(
    report: ClusterReport, found: Findings, *, output: str, by: str | None, top: int, to_file: bool
) -> Iterable[str]:
    """Return the text in parts. Each renderer is imported on demand."""
    if output == "text":
        from oomkeeper.reporting.cluster_report_text import report_text

        means = terminal_of(sys.stdout)
        colour = means.colour and not to_file
        return report_text(report, by=by, top=top, width=means.width, colour=colour, unicode=means.unicode)
    if output == "markdown":
        from oomkeeper.reporting.cluster_report_markdown import report_markdown

        return report_markdown(report, by=by, top=top)
    if output == "csv":
        from oomkeeper.reporting.cluster_report_csv import report_csv

        return report_csv(report, by=by or "workload")
    if output == "html":
        from oomkeeper.reporting.cluster_report_html import report_html

        return report_html(report, incidents=found.incidents, start=found.start, end=found.end)
    return _data(report, output=output)


def _data(report: ClusterReport, *, output: str) -> Iterator[str]:
    import msgspec

    if output == "json":
        yield msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
        return
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    yield yaml.dump(msgspec.to_builtins(report), Dumper=dumper, sort_keys=False, allow_unicode=True)


def _write(parts: Iterable[str]) -> None:
    # Bytes, because the locale's encoding may not have a name's characters.
    binary = getattr(sys.stdout, "buffer", None)
    for part in parts:
        if binary is None:
            sys.stdout.write(part)
        else:
            binary.write(part.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def _write_file(path: Path, parts: Iterable[str]) -> None:
    """Write the file as a whole or not at all, and print its path."""
    made = path.with_name(f".{path.name}.new")
    try:
        with made.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            stream.writelines(parts)
        made.replace(path)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise CliError(f"{path}: {error.strerror or error}") from error
    click.echo(f"wrote {path}", err=True)
