"""kind clusters from a shell: `python -m tests.testbed.kind up|down|env|build|load [--name NAME]`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from .. import recipes
from ..binaries import binaries
from ..errors import TestbedError
from .cluster import KindCluster
from .installing import install_operator
from .lifecycle import DEFAULT_NAME, down, find, up
from .nodeimage import build_node_archive


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "up":
                _up(options)
            case "down":
                down(name=options.name, say=_say)
            case "env":
                _print_environment(options.name)
            case "load":
                cluster = _running(options.name)
                cluster.load_image(options.archive)
            case "build":
                binaries(recipes.KIND_CLIENTS, say=_say)
                print(build_node_archive(say=_say))
    except TestbedError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("stopped; run it again, or take away what there is: make kind-down")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed.kind", description="kind clusters.")
    commands = parser.add_subparsers(dest="command", required=True)
    summaries = {
        "up": "bring a cluster up, with oomkeeper in it",
        "down": "delete one cluster, or all of ours, and put the machine back",
        "env": "print the shell lines that point kubectl at it",
        "load": "give the nodes the images of an archive",
        "build": "find or build everything for nodes of our own, as where no registry is reachable",
    }
    for name, summary in summaries.items():
        command = commands.add_parser(name, help=summary)
        if name != "build":
            command.add_argument("--name", default=None if name == "down" else DEFAULT_NAME)
        if name == "up":
            command.add_argument("--workers", type=int, default=2)
            command.add_argument(
                "--old-certificates",
                action="store_true",
                help="an API server certificate without key identifiers, as older clusters have it",
            )
            command.add_argument("--bare", action="store_true", help="the cluster alone, without oomkeeper")
        if name == "load":
            command.add_argument("archive", type=Path)
    return parser


def _up(options: argparse.Namespace) -> None:
    cluster = up(
        name=options.name,
        workers=options.workers,
        old_certificates=options.old_certificates,
        say=_say,
    )
    if not options.bare:
        install_operator(cluster, say=_say)
    _say(cluster.kubectl("get", "nodes").rstrip())
    name = "" if options.name == DEFAULT_NAME else f" --name {options.name}"
    _say(f"kubeconfig: {cluster.kubeconfig}")
    use = "make -s kind-env" if not name else f"{sys.executable} -m tests.testbed.kind env{name}"
    _say(f'to use it: eval "$({use})"')


def _running(name: str) -> KindCluster:
    cluster = find(name)
    if cluster is None:
        raise TestbedError(f"no cluster {name} is up; bring it up: make kind")
    return cluster


def _print_environment(name: str) -> None:
    cluster = _running(name)
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    print(f"export KUBECACHEDIR={shlex.quote(str(cluster.cache))}")
    for variable, value in cluster.docker.environment.items():
        print(f"export {variable}={shlex.quote(value)}")
    programs = (cluster.kubectl_path, cluster.helm_path, cluster.kind_path)
    folders = ":".join(dict.fromkeys(str(program.parent) for program in programs))
    print(f'export PATH={shlex.quote(folders)}:"$PATH"')


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
