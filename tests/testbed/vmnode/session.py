"""A virtual node with the operator on it, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..cache import Say, silent
from ..launch import launched
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
