"""`kubectl oom nodes`: whether each node's agent works, and what it recorded."""

import time

import click

from oomkeeper.agent.kube.client import ApiClient, resource_path
from oomkeeper.reporting.node_state import (
    COLUMNS,
    WIDE_COLUMNS,
    NodeState,
    node_record,
    node_rows,
    node_states,
)
from oomkeeper.reporting.table import table_lines

from .cluster import Target, cluster_options, complete, connected, list_if_allowed, list_raw, selector_option
from .object_output import ObjectFormat, object_output_option, print_document

AGENT_PODS = "app.kubernetes.io/component=agent,app.kubernetes.io/name=oomkeeper"
_EPILOG = """\
AGENT is Ready, Silent (its pod is not ready; SINCE tells for how long), Missing (no agent's pod on the node)
or Unknown (you may not list pods). SETTINGS: sysctls and oom_score_adj entries that have their desired value,
of those that policies set; "stale" where the agent has not reported on the newest. KILLS are recorded OOM
kills, UNATTRIBUTED those that the kernel counted and that have no record, LOST log and trace records
that were overwritten before they were read. An agent writes its status only on change: an old WRITTEN
(-o wide) is no failure.

Exit status: 0, whatever the state of the nodes; 1 when the API server refuses; 2 for a wrong command line.
kubectl oom doctor judges."""


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[NODE]...", shell_complete=complete("nodes"))
@cluster_options(namespaced=False)
@selector_option
@click.option(
    "--agent-selector",
    metavar="SELECTOR",
    default=AGENT_PODS,
    help="Label selector of the agents' pods; default: as the chart labels them.",
)
@object_output_option
def command(
    *, names: tuple[str, ...], target: Target, selector: str, agent_selector: str, output: ObjectFormat
) -> int:
    """Show each node's agent, settings, kill accounting and conditions."""
    with connected(target) as client:
        states = read_nodes(client, agent_selector=agent_selector, selector=selector)
    if names:
        states = [one for one in states if one.name in names]
    if output.is_table:
        if not states:
            click.echo("No nodes found.", err=True)
            return 0
        wide = output.name == "wide"
        rows = node_rows(states, now=time.time(), wide=wide)
        for line in table_lines(WIDE_COLUMNS if wide else COLUMNS, rows):
            click.echo(line)
    elif output.name == "name":
        for one in states:
            click.echo(f"oomnode.oomkeeper.dev/{one.name}")
    else:
        print_document({"items": [node_record(one) for one in states]}, form=output)
    return 0


def read_nodes(client: ApiClient, *, agent_selector: str = AGENT_PODS, selector: str = "") -> list[NodeState]:
    """Return the state of every node; what the user may not list is unknown. `selector` is for Nodes."""
    nodes = list_if_allowed(client, "/api/v1/nodes", labelSelector=selector)
    pods = list_if_allowed(client, "/api/v1/pods", labelSelector=agent_selector)
    states = node_states(list_raw(client, resource_path("oomnodes")), nodes=nodes, pods=pods)
    if not selector:
        return states
    selected = {node["metadata"]["name"] for node in nodes or ()}
    return [one for one in states if one.name in selected]
