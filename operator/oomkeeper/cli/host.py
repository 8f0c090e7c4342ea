"""Options shared by the commands that work on a host, and their output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oomkeeper.logformat import LOG_FORMATS
from oomkeeper.model.names import STATE_DIR

if TYPE_CHECKING:
    from oomkeeper.agent.host_paths import HostPaths
    from oomkeeper.agent.serve_metrics import MetricsConfig

_F = TypeVar("_F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
FILE = click.Path(allow_dash=True)
"""A file by its name, or - for standard input; the verb opens it and reports errors."""


class WholeNumber(click.IntRange):
    """An integer within bounds, with a plain error message."""

    name = "whole number"


_HOST_PATHS = {
    "proc": "/proc",
    "sys": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "etc": "/etc",
    "kmsg": "/dev/kmsg",
    "tracefs": "/sys/kernel/tracing",
    "pstore": "/sys/fs/pstore",
    "pstore-archive": "/var/lib/systemd/pstore",
}


def state_dir_option(command: _F) -> _F:
    """Add --state-dir."""
    return click.option(
        "--state-dir",
        metavar="DIR",
        type=PATH,
        envvar="OOMKEEPER_STATE_DIR",
        default=STATE_DIR,
        help=f"Directory of the node's state (default $OOMKEEPER_STATE_DIR or {STATE_DIR}).",
    )(command)


def output_option(*formats: str) -> Callable[[_F], _F]:
    """Add --output, which chooses between `formats`; the first is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], help="Format.", show_default=True
    )


def proc_option(command: _F) -> _F:
    """Add --proc."""
    return click.option("--proc", metavar="PATH", type=PATH, default="/proc", help="The host's /proc.")(
        command
    )


def host_path_options(command: _F) -> _F:
    """Add an option for each place where the host's files may be mounted; `host_paths` reads them."""
    for name, default in reversed(_HOST_PATHS.items()):
        command = click.option(
            f"--{name}", metavar="PATH", type=PATH, default=default, help=f"The host's {default}."
        )(command)
    return click.option(
        "--sysctls", metavar="PATH", type=PATH, help="The host's /proc/sys; default: below --proc."
    )(command)


def host_paths(paths: dict[str, Path]) -> "HostPaths":
    """Return the values of `host_path_options`."""
    from oomkeeper.agent.host_paths import HostPaths

    return HostPaths(**paths)


def log_format_option(command: _F) -> _F:
    """Add --log-format."""
    return click.option(
        "--log-format",
        type=click.Choice(LOG_FORMATS),
        default=LOG_FORMATS[0],
        help="Format of log lines.",
        show_default=True,
    )(command)


def metrics_options(command: _F) -> _F:
    """Add the options of the metrics endpoint; `metrics_config` reads them."""
    for option in (
        click.option(
            "--metrics-max-series",
            metavar="N",
            type=click.IntRange(1, 10_000),
            default=500,
            show_default=True,
            help="Workload series of oomkeeper_oom_kills_total; further workloads are counted as `other`.",
        ),
        metrics_workload_labels_option,
        metrics_port_options,
    ):
        command = option(command)
    return command


def metrics_workload_labels_option(command: _F) -> _F:
    """Add --metrics-workload-labels."""
    return click.option(
        "--metrics-workload-labels/--no-metrics-workload-labels",
        default=True,
        show_default=True,
        help="Label kills with namespace, workload and container.",
    )(command)


def metrics_port_options(command: _F) -> _F:
    """Add --metrics-port and --metrics-address."""
    command = click.option(
        "--metrics-address",
        metavar="ADDRESS",
        default="",
        help="Address to serve metrics on, such as 127.0.0.1 or ::; default: all IPv4 addresses.",
    )(command)
    return click.option(
        "--metrics-port",
        metavar="PORT",
        type=click.IntRange(1, 65535),
        help="Serve metrics for Prometheus at /metrics on this port; default: none.",
    )(command)


def metrics_config(
    port: int | None, *, address: str, workload_labels: bool, max_series: int
) -> "MetricsConfig | None":
    """Return the values of `metrics_options`; None without a port."""
    from oomkeeper.agent.serve_metrics import MetricsConfig

    if port is None:
        return None
    return MetricsConfig(port=port, address=address, workload_labels=workload_labels, max_series=max_series)


def print_json(document: Any) -> None:
    """Print an indented JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))
