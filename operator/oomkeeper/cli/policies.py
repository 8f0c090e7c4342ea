"""`kubectl oom policy`: which policy sets which key on which node."""

import click

from oomkeeper.reporting.policy_list import (
    COLUMNS,
    WIDE_COLUMNS,
    setting_records,
    setting_rows,
    settings_of,
)
from oomkeeper.reporting.table import table_lines
from oomkeeper.resources.oomnode import OOMNode
from oomkeeper.resources.oompolicy import OOMPolicy

from .cluster import Target, cluster_options, complete, connected, list_objects
from .errors import CliError
from .object_output import ObjectFormat, object_output_option, print_document

_EPILOG = """\
One line for each key that a policy sets, with the number of nodes; -o wide has one line for each node, with
the value in force. STATE is what the agents report: InSync, Drifted, Pending, Refused, Unsupported, Audited;
Overridden: another policy sets the key there. A policy that sets nothing has the reason of its condition
Ready.

Exit status: 0 whatever the state, 1 when the API server refuses or there is no such policy, 2 for a wrong
command line."""


@click.command(epilog=_EPILOG)
@click.argument("policy", required=False, shell_complete=complete("policies"))
@cluster_options(namespaced=False)
@click.option(
    "--node", metavar="NAME", help="Only this node, one line for each key.", shell_complete=complete("nodes")
)
@object_output_option
def command(*, policy: str | None, target: Target, node: str | None, output: ObjectFormat) -> int:
    """Show which policy sets which key on which nodes, what is overridden, and what is in sync."""
    if output.name == "name":
        raise click.BadOptionUsage("output", "name is not supported here: kubectl get oomp -o name")
    with connected(target) as client:
        policies = list_objects(client, OOMPolicy, "oompolicies")
        nodes = list_objects(client, OOMNode, "oomnodes")
    if policy is not None and policy not in {one.metadata.name for one in policies}:
        raise CliError(f"oompolicy {policy} not found")
    if node is not None and node not in {one.metadata.name for one in nodes}:
        raise CliError(f"oomnode {node} not found")
    settings = settings_of(policies, nodes, policy=policy, node=node)
    if not output.is_table:
        print_document({"items": setting_records(settings)}, form=output)
        return 0
    if not settings:
        click.echo("No policy sets anything.", err=True)
        return 0
    wide = output.name == "wide" or node is not None
    for line in table_lines(WIDE_COLUMNS if wide else COLUMNS, setting_rows(settings, wide=wide)):
        click.echo(line)
    return 0
