"""`oomkeeper agent`: the node agent, as the DaemonSet runs it."""

import logging
import os
import signal
import threading
from pathlib import Path

import click

from oomkeeper.agent.health import HealthPortError
from oomkeeper.agent.service import Agent, AgentConfig
from oomkeeper.agent.store import StateError
from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.tls import check_config
from oomkeeper.logformat import LogFormat, configure_logging, get_logger
from oomkeeper.metrics.errors import MetricsPortError

from .errors import FAILED, BadInput
from .host import (
    PATH,
    host_path_options,
    host_paths,
    log_format_option,
    metrics_config,
    metrics_options,
    state_dir_option,
)


@click.command
@click.option(
    "--node-name", metavar="NAME", envvar="NODE_NAME", help="This node's name (default $NODE_NAME)."
)
@click.option(
    "--namespace",
    metavar="NAME",
    envvar="POD_NAMESPACE",
    default="oomkeeper-system",
    help="The operator's namespace, for incidents of host processes (default $POD_NAMESPACE).",
)
@click.option(
    "--kubeconfig",
    metavar="FILE",
    type=PATH,
    help="API server and credentials; default: the pod's service account.",
)
@click.option(
    "--health-port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    help="Serve /healthz and /readyz for kubelet's probes on this port; default: none.",
)
@metrics_options
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@log_format_option
@state_dir_option
@host_path_options
def command(
    node_name: str | None,
    namespace: str,
    kubeconfig: Path | None,
    health_port: int | None,
    metrics_port: int | None,
    metrics_address: str,
    metrics_workload_labels: bool,
    metrics_max_series: int,
    verbose: bool,
    log_format: LogFormat,
    state_dir: Path,
    **paths: Path,
) -> int:
    """Run the node agent until SIGTERM (as the DaemonSet does)."""
    configure_logging(level=logging.DEBUG if verbose else logging.INFO, log_format=log_format)
    if not node_name:
        raise BadInput("--node-name is missing (the DaemonSet sets NODE_NAME from spec.nodeName)")
    try:
        agent = Agent(
            AgentConfig(
                api=api_config(kubeconfig),
                node=node_name,
                state_dir=state_dir,
                namespace=namespace,
                host=host_paths(paths),
                health_port=health_port,
                metrics=metrics_config(
                    metrics_port,
                    address=metrics_address,
                    workload_labels=metrics_workload_labels,
                    max_series=metrics_max_series,
                ),
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: agent.stop())
        threading.excepthook = lambda failure: _fail(failure, agent)
        agent.run()
        return FAILED if _failed else 0
    except (ApiConfigError, HealthPortError, MetricsPortError, StateError) as error:
        raise BadInput(str(error)) from error


_failed: list[str] = []


def _fail(failure: threading.ExceptHookArgs, agent: Agent) -> None:
    """Stop the agent when one of its threads fails: kubelet restarts it, and it continues from its state."""
    name = failure.thread.name if failure.thread else "?"
    get_logger(__name__).exception("thread failed", failure.exc_value or failure.exc_type(), name=name)
    _failed.append(name)
    agent.stop()


def api_config(kubeconfig: Path | None) -> ApiConfig:
    """Return how to reach the API server: by a kubeconfig, else by the pod's service account.

    Raises ApiConfigError.
    """
    environ = dict(os.environ)
    if kubeconfig is None:
        config = ApiConfig.in_cluster(environ=environ)
    else:
        from oomkeeper.connection.kubeconfig import read_kubeconfig

        config = read_kubeconfig([kubeconfig], environ=environ)
    check_config(config, source=kubeconfig)
    return config
