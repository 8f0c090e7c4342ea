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
    return command


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


def print_json(document: Any) -> None:
    """Print an indented JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))
