"""`kubectl oom incidents`: the OOM incidents, the last one first."""

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import click
import msgspec

from oomkeeper.agent.kube.client import ApiClient, WatchSilentError, resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.cause import Cause
from oomkeeper.reporting.incident_list import (
    COLUMNS,
    WIDE_COLUMNS,
    IncidentFilter,
    Read,
    incident_rows,
    newest_first,
    read_incidents,
    seconds_of,
)
from oomkeeper.reporting.table import Table

from .cluster import Target, cluster_options, complete, connected, list_raw_from, selector_option
from .object_output import ObjectFormat, object_output_option, print_document, print_objects

_WATCH_SECONDS = 290
_EPILOG = """\
One incident counts the kills of one container of a workload (or of one host cgroup) on one node for one
cause. LAST and FIRST are the ages of its last and first kill; LIMIT is the limit in force at the last one.
kubectl oom explain NAME explains one.

Exit status: 0 whether or not there is an incident, 1 when the API server refuses, 2 for a wrong command
line, 130 when -w is interrupted."""


class Duration(click.ParamType[int]):
    """A duration in seconds, such as 30m, 24h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a duration: write 30m, 24h or 7d", param, ctx)
        return seconds


@click.command(epilog=_EPILOG)
@cluster_options(namespaced=True)
@selector_option
@click.option(
    "--workload",
    metavar="[KIND/]NAME",
    help="Only this workload, such as deploy/web.",
    shell_complete=complete("workloads"),
)
@click.option(
    "--cause",
    type=click.Choice([*map(str, Cause)], case_sensitive=False),
    metavar="CAUSE",
    help="Only this cause, such as NodeMemory.",
)
@click.option("--node", metavar="NAME", help="Only this node.", shell_complete=complete("nodes"))
@click.option(
    "--since", type=Duration(), metavar="DURATION", help="Only with a kill in the last 30m, 24h, 7d ..."
)
@click.option("-w", "--watch", is_flag=True, help="After the list, print each incident when it changes.")
@object_output_option
def command(
    *,
    target: Target,
    selector: str,
    workload: str | None,
    cause: str | None,
    node: str | None,
    since: int | None,
    watch: bool,
    output: ObjectFormat,
) -> int:
    """List OOM incidents, the one with the last kill first."""
    asked = IncidentFilter(
        workload=workload, cause=cause, node=node, since=None if since is None else time.time() - since
    )
    printer = _Printer(output, namespaces=target.namespace is None)
    path = resource_path("oomincidents", namespace=target.namespace)
    with connected(target) as client:
        objects, version = list_raw_from(client, path, labelSelector=selector)
        found = newest_first(filter(asked.takes, read_incidents(objects)))
        if not found and output.is_table and not watch:
            where = "" if target.namespace is None else f" in namespace {target.namespace}"
            click.echo(f"No OOM incidents found{where}.", err=True)
            return 0
        printer.print_list(found, watched=watch)
        if watch:
            for one in _changes(client, path, version=version, known=objects, selector=selector):
                printer.changed(filter(asked.takes, read_incidents([one])))
    return 0


class _Printer:
    """Prints incidents as a table or as objects."""

    def __init__(self, form: ObjectFormat, *, namespaces: bool) -> None:
        self._form, self._namespaces = form, namespaces
        columns = WIDE_COLUMNS if form.name == "wide" else COLUMNS
        self._table = Table(("NAMESPACE", *columns) if namespaces else columns)

    def print_list(self, incidents: list[Read], *, watched: bool) -> None:
        """Print the list; while watching, one object after the other, as the changes are printed."""
        if self._form.is_table:
            self._rows(incidents, headings=True)
        elif watched:
            self.changed(iter(incidents))
        else:
            print_objects([one.raw for one in incidents], form=self._form, singular="oomincident")

    def changed(self, incidents: Iterator[Read]) -> None:
        """Print an incident that has changed."""
        for one in incidents:
            if self._form.is_table:
                self._rows([one], headings=False)
            elif self._form.name == "name":
                print_objects([one.raw], form=self._form, singular="oomincident")
            else:
                print_document(one.raw, form=self._form)

    def _rows(self, incidents: list[Read], *, headings: bool) -> None:
        rows = incident_rows(
            incidents, now=time.time(), wide=self._form.name == "wide", namespaces=self._namespaces
        )
        for line in self._table.lines(rows, headings=headings):
            click.echo(line)


def _changes(
    client: ApiClient, path: str, *, version: str, known: list[dict[str, Any]], selector: str
) -> Iterator[dict[str, Any]]:
    """Yield incidents as they are created and changed, without end. Raises ApiError."""
    query = {"labelSelector": selector} if selector else {}
    versions = {_key(one): one["metadata"].get("resourceVersion") for one in known}
    while True:
        try:
            for event in client.watch(
                path, resource_version=version, timeout_seconds=_WATCH_SECONDS, **query
            ):
                obj = msgspec.json.decode(event.object)
                version = str(obj["metadata"].get("resourceVersion") or version)
                if event.type in ("ADDED", "MODIFIED"):
                    versions[_key(obj)] = version
                    yield obj
        except WatchSilentError:
            continue  # it may be dead: the next one continues at the same version
        except ApiError as error:
            if error.status != HTTPStatus.GONE:
                raise
            # The version is too old: what has changed since is in a new list.
            objects, version = list_raw_from(client, path, labelSelector=selector)
            for obj in objects:
                if versions.get(_key(obj)) != (current := obj["metadata"].get("resourceVersion")):
                    versions[_key(obj)] = current
                    yield obj


def _key(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
