"""`kubectl oom explain POD|WORKLOAD|INCIDENT|node/NODE`: the full explanation from the cluster's record."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from oomkeeper.agent.kube.client import ApiClient, resource_path
from oomkeeper.reporting.incident_list import Read, kind_of, names_workload, newest_first, read_incidents
from oomkeeper.reporting.incident_record import record_of_incident

from .cluster import (
    Target,
    cluster_options,
    complete,
    connected,
    get_if_exists,
    list_if_allowed,
    list_raw,
)
from .errors import CliError
from .host import output_option, print_json
from .rollouts import RolloutReader
from .terminal import terminal_of

_INCIDENT_KINDS = ("oomincident", "oomi", "incident")
_MOST_TEXT = 20
"""Incidents explained in full; a workload with more gets its newest ones."""
_EPILOG = """\
WHAT is the name of an incident, a pod or a workload; or with its kind, as in oomi/NAME, pod/NAME,
deploy/NAME or node/NAME. A pod may be deleted: its last kills are found by its name. node/NAME shows the
node's kill accounting, settings and incidents of all namespaces.

What an incident does not hold is left out: the kernel's task table and zones. kubectl oom log explains a
whole kernel log; so does node/NAME with --debug-pod, for the log that the node has now. That needs no
oomkeeper in the cluster. Like kubectl debug node/NAME, it creates a privileged pod, in the namespace of -n;
the pod ends after a minute and a half at most, and is deleted.

Exit status: 0, 1 when nothing of that name is recorded or the API server refuses, 2 for a wrong command
line."""


@click.command(epilog=_EPILOG)
@click.argument("what", shell_complete=complete("subjects"))
@cluster_options(namespaced=True)
@output_option("text", "json", "markdown")
@click.option("--debug-pod", is_flag=True, help="node/NAME: read its kernel log through a privileged pod.")
@click.option(
    "--image",
    metavar="IMAGE",
    default="busybox",
    show_default=True,
    help="With --debug-pod: an image with sh, cat, timeout and dmesg.",
)
def command(*, what: str, target: Target, output: str, debug_pod: bool, image: str) -> int:
    """Explain the OOM kills of a pod, a workload, an incident or a node, from the cluster's record."""
    kind, slash, name = what.rpartition("/")
    if (slash and not kind) or not name:
        raise click.BadParameter(f"{what!r}: write NAME or KIND/NAME", param_hint="WHAT")
    is_node = kind_of(kind) in ("node", "no", "oomnode", "oomn")
    if debug_pod and not is_node:
        raise click.UsageError("--debug-pod needs node/NAME")
    if debug_pod:
        from .node_log import explain_node_log

        with connected(target) as client:
            namespace = target.namespace or "default"
            return explain_node_log(client, node=name, namespace=namespace, image=image, output=output)
    if is_node:
        return _node(target, name=name, output=output)
    with connected(target) as client:
        found = find_incidents(client, target.namespace, what)
        reader, now = RolloutReader(client), time.time()
        began = [reader.beginning([one.incident], now=now) for one in found[:_MOST_TEXT]]
    if not found:
        where = f"in namespace {target.namespace}" if target.namespace else "in any namespace"
        raise CliError(
            f"no OOM incident of {what} {where}; `kubectl oom why {name}` tells what else killed a pod"
        )
    _write(found[:_MOST_TEXT], began, more=len(found) - _MOST_TEXT, output=output)
    return 0


def find_incidents(client: ApiClient, namespace: str | None, what: str) -> list[Read]:
    """Return the incidents that `what` names, the newest first: by name, by pod, or by workload. Raises
    ApiError."""
    kind, _, name = what.rpartition("/")
    path = resource_path("oomincidents", namespace=namespace)
    if kind in _INCIDENT_KINDS and namespace is not None:
        one = get_if_exists(client, resource_path("oomincidents", namespace=namespace, name=name))
        return read_incidents([] if one is None else [one])
    found = newest_first(read_incidents(list_raw(client, path)))
    if kind in _INCIDENT_KINDS:
        return [one for one in found if one.name == name]
    if not kind and (named := [one for one in found if one.name == name]):
        return named
    killed = [one for one in found if any(kill.pod == name for kill in one.status.kills)]
    if killed and (not kind or kind_of(kind) == "pod"):
        return killed
    return [one for one in found if names_workload(what, one.incident)]


def _write(found: list[Read], began: list[str | None], *, more: int, output: str) -> None:
    if output == "json":
        print_json(
            {
                "kills": [msgspec.to_builtins(record_of_incident(one.incident)) for one in found],
                "incidents": [one.raw for one in found],
                "began": began,
            }
        )
        return
    from oomkeeper.reporting.incident_page import incident_markdown, incident_text

    if output == "markdown":
        for one, sentence in zip(found, began, strict=True):
            _lines(incident_markdown(one, began=sentence))
    else:
        from oomkeeper.reporting.terminal_drawing import Pen

        means = terminal_of(sys.stdout)
        pen = Pen(width=max(60, means.width), colour=means.colour, unicode=means.unicode)
        for one, sentence in zip(found, began, strict=True):
            _lines(map(pen.encodable, incident_text(one, pen=pen, began=sentence)))
    if more > 0:
        click.echo(f"{more} older incidents are left out: kubectl oom incidents lists them.", err=True)


def _lines(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line.rstrip())


def _node(target: Target, *, name: str, output: str) -> int:
    from oomkeeper.reporting.node_page import node_markdown, node_text
    from oomkeeper.reporting.node_state import node_record
    from oomkeeper.reporting.policy_list import decode_all, setting_records, settings_of
    from oomkeeper.resources.oomnode import OOMNode

    from .nodes import read_nodes

    with connected(target) as client:
        if list_if_allowed(client, resource_path("oomnodes"), limit="1") is None:
            raise CliError(
                "OOMNodes cannot be read: oomkeeper is not installed, or you have no right to; --debug-pod "
                "reads the node's kernel log without it"
            )
        state = next((one for one in read_nodes(client) if one.name == name), None)
        if state is None:
            raise CliError(f"node {name} not found")
        raw = get_if_exists(client, resource_path("oomnodes", name=name))
        objects = list_raw(client, resource_path("oomincidents"))
    settings = settings_of([], decode_all(OOMNode, [raw] if raw else []), node=name)
    incidents = [one for one in newest_first(read_incidents(objects)) if one.incident.spec.node_name == name]
    if output == "json":
        record: dict[str, Any] = node_record(state)
        record["settings"]["items"] = setting_records(settings)
        print_json({"node": record, "incidents": [one.raw for one in incidents]})
        return 0
    draw = node_markdown if output == "markdown" else node_text
    _lines(draw(state, settings=settings, incidents=incidents, now=time.time()))
    return 0
