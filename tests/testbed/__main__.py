"""A testbed from a shell: `python -m tests.testbed build|up|down|env [--level controlplane|node|vmnode]
[--folder DIR]`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import controlplane, node, packages, recipes, vmnode
from .binaries import binaries
from .errors import TestbedError
from .launch import PID_FILE, launch_detached
from .plan import Plan
from .runs import live_runs, runs_folder, sweep

_END_SECONDS = 90


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    options = _parser().parse_args(arguments)
    folder: Path | None = options.folder
    try:
        match options.command:
            case "build":
                _build(options.level)
            case "up":
                _print_environment(_up(options.level, node_name=options.node_name, folder=folder))
            case "env":
                _print_environment(_one_detached(folder))
            case "down":
                _down(folder, level=options.level)
    except TestbedError as error:
        _say(f"error: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.testbed", description="A real Kubernetes, on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    summaries = {
        "build": "find or build the binaries",
        "up": "start a testbed that stays until `down`",
        "env": "print the shell lines that point kubectl at it",
        "down": "end it and put the machine back",
    }
    for name, summary in summaries.items():
        command = commands.add_parser(name, help=summary)
        command.add_argument("--folder", type=Path, help="where the run folders go (default: under /var/tmp)")
        if name == "down":
            command.add_argument("--level", help="end those of this level only")
        if name in ("build", "up"):
            command.add_argument(
                "--level", choices=("controlplane", "node", "vmnode"), default="controlplane"
            )
        if name == "up":
            command.add_argument("--node-name", default="node-a")
    return parser


def _build(level: str) -> None:
    if level == "vmnode":
        vmnode.prepare_vm(say=_say)
        return
    packages.require(packages.NODE if level == "node" else packages.CONTROL_PLANE, say=_say)
    found = binaries(recipes.NODE if level == "node" else recipes.CONTROL_PLANE, say=_say)
    for name, path in found.items():
        print(f"{name}\t{path}")


def _up(level: str, *, node_name: str, folder: Path | None) -> Path:
    if level == "vmnode":
        make_plan = vmnode.prepare_vm(say=_say, detached=True)
        plan = launch_detached(make_plan, level=level, exclusive=False, say=_say, folder=folder)
        return _finished(plan, lambda: _finish_vm(plan.folder))
    if level == "controlplane":
        make_plan = controlplane.prepare(say=_say, controllers=False, detached=True)
        return launch_detached(make_plan, level=level, exclusive=False, say=_say, folder=folder).folder
    make_plan = node.prepare(name=node_name, say=_say, detached=True)
    plan = launch_detached(make_plan, level=level, exclusive=True, say=_say, folder=folder)
    return _finished(plan, lambda: node.finish(node.attach_node(plan.folder, name=node_name), say=_say))


def _finish_vm(folder: Path) -> None:
    running = vmnode.attach_vm(folder)
    vmnode.finish_vm(running, say=_say)
    vmnode.install_operator(running, say=_say)


def _finished(plan: Plan, finish: Callable[[], None]) -> Path:
    try:
        finish()
    except BaseException:
        _end(plan.folder)
        raise
    return plan.folder


def _print_environment(run: Path) -> None:
    kubectl = controlplane.attach(run).kubectl_path
    print(f"export KUBECACHEDIR={shlex.quote(str(run / 'kubectl-cache'))}")
    print(f"export KUBECONFIG={shlex.quote(str(run / controlplane.ADMIN_KUBECONFIG))}")
    print(f'export PATH={shlex.quote(str(kubectl.parent))}:"$PATH"')


def _one_detached(folder: Path | None) -> Path:
    found = _detached(folder)
    if not found:
        raise TestbedError("no testbed is up; start one: python -m tests.testbed up")
    if len(found) > 1:
        _say(f"{len(found)} testbeds are up; this is the newest")
    return max(found, key=lambda run: (run / PID_FILE).stat().st_mtime)


def _detached(folder: Path | None) -> list[Path]:
    # The others belong to a process that is using them.
    return [
        run for run in live_runs(runs_folder(folder)) if (run / PID_FILE).exists() and Plan.read(run).detached
    ]


def _down(folder: Path | None, *, level: str | None) -> None:
    for run in _detached(folder):
        if level is None or run.name.startswith(f"{level}-"):
            _end(run)
    sweep(runs_folder(folder), say=_say)


def _end(run: Path) -> None:
    os.kill(int((run / PID_FILE).read_text()), signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while run in live_runs(run.parent):
        if time.monotonic() > deadline:
            raise TestbedError(
                f"{run.name} does not end; see {run}/supervisor.log, and end its supervisor by hand"
            )
        time.sleep(0.05)
    _say(f"ended {run.name}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
