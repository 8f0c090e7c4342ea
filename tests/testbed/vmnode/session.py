"""A virtual node with the operator on it, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..cache import Say, silent
from ..launch import PID_FILE, launched
from ..plan import Plan
from ..runs import live_runs, runs_folder
from .node import LEVEL, VMNode, attach_vm, finish_vm, prepare_vm
from .operator import install_operator


@contextmanager
def vm_node(*, say: Say = silent, folder: Path | None = None) -> Iterator[VMNode]:
    """Run a cluster of one virtual node until the block ends; root only (its disk is made by debootstrap).

    The operator runs on it. `folder` is where its run folder goes (default under /var/tmp). Raises
    TestbedError, saying what is missing.
    """
    make_plan = prepare_vm(say=say)
    with launched(make_plan, level=LEVEL, exclusive=False, say=say, folder=folder) as plan:
        node = attach_vm(plan.folder)
        finish_vm(node, say=say)
        install_operator(node, say=say)
        yield node


def find_vm(*, folder: Path | None = None) -> VMNode | None:
    """The node of `make vmnode`, the newest where there are several; None where none is up."""
    runs = [
        run
        for run in live_runs(runs_folder(folder))
        if run.name.startswith(f"{LEVEL}-") and (run / PID_FILE).exists() and Plan.read(run).detached
    ]
    return attach_vm(max(runs, key=lambda run: (run / PID_FILE).stat().st_mtime)) if runs else None
