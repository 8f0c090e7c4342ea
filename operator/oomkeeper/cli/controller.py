"""`oomkeeper controller`: the cluster controller, as the chart runs it."""

from pathlib import Path

import click

from oomkeeper.controller.start import LOG_LEVELS, start
from oomkeeper.logformat import LogFormat

from .host import PATH, log_format_option


@click.command
@click.option(
    "--kubeconfig",
    metavar="FILE",
    type=PATH,
    help="The cluster to serve; default: $KUBECONFIG, the pod's service account, or ~/.kube/config.",
)
@click.option(
    "--namespace",
    metavar="NAME",
    default="oomkeeper-system",
    help="The operator's namespace.",
    show_default=True,
)
@click.option(
    "--agent-selector",
    metavar="LABELS",
    help="Label selector of the agents' pods in that namespace; without it no agent is reported as silent.",
)
@click.option(
    "--incident-ttl",
    metavar="DURATION",
    default="168h",
    help="How long an incident stays after its last kill, such as 72h.",
    show_default=True,
)
@click.option(
    "--incidents-per-namespace",
    metavar="N",
    type=click.IntRange(1),
    default=200,
    help="Incidents kept per namespace; of more, those with the oldest last kill are deleted.",
    show_default=True,
)
@click.option(
    "--incidents",
    metavar="N",
    type=click.IntRange(1),
    default=5000,
    help="Incidents kept in the cluster.",
    show_default=True,
)
@click.option(
    "--liveness", metavar="URL", help="Serve a health endpoint, for example http://0.0.0.0:8080/healthz."
)
@click.option(
    "--log-level", type=click.Choice(LOG_LEVELS), default="info", help="Log level.", show_default=True
)
@log_format_option
def command(
    kubeconfig: Path | None,
    namespace: str,
    agent_selector: str | None,
    incident_ttl: str,
    incidents_per_namespace: int,
    incidents: int,
    liveness: str | None,
    log_level: str,
    log_format: LogFormat,
) -> int:
    """Run the cluster controller until SIGTERM (as the Deployment does)."""
    return start(
        kubeconfig=kubeconfig,
        namespace=namespace,
        agent_selector=agent_selector,
        incident_ttl=incident_ttl,
        incidents_per_namespace=incidents_per_namespace,
        incidents=incidents,
        liveness=liveness,
        log_level=log_level,
        log_format=log_format,
    )
