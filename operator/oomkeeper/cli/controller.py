"""`oomkeeper controller`: the cluster controller, as the chart runs it."""

import asyncio
import logging
from pathlib import Path

import click

from oomkeeper.connection.config import ApiConfigError
from oomkeeper.logformat import LogFormat, configure_logging
from oomkeeper.metrics.errors import MetricsPortError

from .errors import BadInput
from .host import PATH, log_format_option, metrics_port_options, metrics_workload_labels_option

LOG_LEVELS = ("debug", "info", "warning", "error")


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
    "--cordon-nodes",
    is_flag=True,
    help="Cordon nodes that panicked, where a policy asks for it (panicSafety.cordon). Needs to patch nodes.",
)
@click.option(
    "--liveness", metavar="URL", help="Serve a health endpoint, for example http://0.0.0.0:8080/healthz."
)
@metrics_workload_labels_option
@metrics_port_options
@click.option(
    "--own-objects",
    metavar="FILE",
    type=PATH,
    help="Keep the DaemonSet and admission policies in FILE applied, where the installer cannot (OLM).",
)
@click.option("--own-image", metavar="IMAGE", default="", help="The image for them.")
@click.option(
    "--webhook-url",
    metavar="URL",
    help="Send kills to this address as CloudEvents, each at least once; default: none.",
)
@click.option(
    "--webhook-token-file", metavar="FILE", type=PATH, help="Bearer token for it, read for each request."
)
@click.option(
    "--webhook-ca-file", metavar="FILE", type=PATH, help="Its CA certificates (PEM); default: the system's."
)
@click.option(
    "--webhook-source",
    metavar="URI",
    default="/",
    help="What the sources of the events begin with, to tell one cluster from another.",
    show_default=True,
)
@click.option(
    "--webhook-max-age",
    metavar="DURATION",
    default="24h",
    help="Age of a kill up to which it is sent, such as 1h.",
    show_default=True,
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
    cordon_nodes: bool,
    liveness: str | None,
    metrics_port: int | None,
    metrics_address: str,
    metrics_workload_labels: bool,
    own_objects: Path | None,
    own_image: str,
    webhook_url: str | None,
    webhook_token_file: Path | None,
    webhook_ca_file: Path | None,
    webhook_source: str,
    webhook_max_age: str,
    log_level: str,
    log_format: LogFormat,
) -> int:
    """Run the cluster controller until SIGTERM (as the Deployment does)."""
    if liveness is not None and not liveness.startswith("http://"):
        raise BadInput(f"--liveness {liveness}: write a URL such as http://0.0.0.0:8080/healthz")
    configure_logging(level=getattr(logging, log_level.upper()), log_format=log_format)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # one line per health probe
    try:  # not at the top of the module: --help needs none of it
        from oomkeeper.controller.app import Options, run
        from oomkeeper.controller.incident_bounds import IncidentBounds
        from oomkeeper.controller.own_objects import OwnObjects, OwnObjectsError
        from oomkeeper.controller.webhook import WebhookConfigError, WebhookOptions
        from oomkeeper.model.times import duration_seconds
    except ModuleNotFoundError as error:
        raise BadInput(f"{error.name} is not installed: install oomkeeper[controller]") from error
    try:
        ttl_seconds = duration_seconds(incident_ttl)
    except ValueError as error:
        raise BadInput(f"--incident-ttl: {error}") from error
    own = None
    if own_objects is not None:
        if not own_image:
            raise BadInput("--own-objects: write the image too, with --own-image")
        try:
            own = OwnObjects.read(own_objects, namespace=namespace, image=own_image)
        except OwnObjectsError as error:
            raise BadInput(str(error)) from error
    webhook = None
    if webhook_url is not None:
        try:
            max_age_seconds = duration_seconds(webhook_max_age)
        except ValueError as error:
            raise BadInput(f"--webhook-max-age: {error}") from error
        webhook = WebhookOptions(
            url=webhook_url,
            cluster=webhook_source,
            token_file=webhook_token_file,
            ca_file=webhook_ca_file,
            max_age_seconds=max_age_seconds,
        )
    options = Options(
        kubeconfig=kubeconfig,
        namespace=namespace,
        agent_selector=agent_selector,
        bounds=IncidentBounds(
            ttl_seconds=ttl_seconds, per_namespace=incidents_per_namespace, in_cluster=incidents
        ),
        cordons_nodes=cordon_nodes,
        liveness=liveness,
        metrics_port=metrics_port,
        metrics_address=metrics_address,
        metrics_workload_labels=metrics_workload_labels,
        own_objects=own,
        webhook=webhook,
    )
    try:
        if webhook is not None:
            webhook.check()
        asyncio.run(run(options))
    except (ApiConfigError, MetricsPortError, WebhookConfigError) as error:
        raise BadInput(str(error)) from error
    return 0
