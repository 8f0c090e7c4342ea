"""Options and output shared by the commands that work on a host."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oomkeeper.logformat import LOG_FORMATS
from oomkeeper.model.names import STATE_DIR

if TYPE_CHECKING:
    from oomkeeper.agent.loop import HostPaths


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("OOMKEEPER_STATE_DIR", STATE_DIR)),
        help=f"folder of the node's state (default {STATE_DIR})",
    )


def add_output(parser: argparse.ArgumentParser, *, choices: tuple[str, ...] = ("text", "json")) -> None:
    parser.add_argument("--output", "-o", choices=choices, default="text", help="how to print (default text)")


def add_host_paths(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the host is mounted")
    for name, default in (
        ("proc", "/proc"),
        ("sys", "/sys"),
        ("cgroup", "/sys/fs/cgroup"),
        ("etc", "/etc"),
        ("kmsg", "/dev/kmsg"),
        ("pstore", "/sys/fs/pstore"),
        ("pstore-archive", "/var/lib/systemd/pstore"),
    ):
        group.add_argument(
            f"--{name}", metavar="PATH", type=Path, default=Path(default), help=f"the host's {default}"
        )


def host_paths(args: argparse.Namespace) -> "HostPaths":
    """Where the options of `add_host_paths` say that the host's files are."""
    from oomkeeper.agent.loop import HostPaths

    return HostPaths(
        proc=args.proc,
        sys=args.sys,
        cgroup=args.cgroup,
        etc=args.etc,
        kmsg=args.kmsg,
        pstore=args.pstore,
        pstore_archive=args.pstore_archive,
    )


def add_log_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format", choices=LOG_FORMATS, default="logfmt", help="format of log lines (default logfmt)"
    )


def text_pages_for(kills: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Render kills as text for the means of stdout."""
    import shutil

    from oomkeeper.reporting.explanation_text import text_pages
    from oomkeeper.resources.killrecord import RecordedKill
    from oomkeeper.resources.record import read

    terminal = sys.stdout.isatty()
    encoding = (sys.stdout.encoding or "ascii").lower()
    return text_pages(
        (read(RecordedKill, kill) for kill in kills),
        width=min(120, shutil.get_terminal_size((100, 24)).columns) if terminal else 100,
        colour=terminal and "NO_COLOR" not in os.environ,
        unicode=encoding.replace("-", "") == "utf8",
    )


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))
