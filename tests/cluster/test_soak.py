"""Nothing is lost and nothing counted twice while everything fails: the small soak."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.harness import why_not as why_no_kills
from tests.soak.run import run
from tests.soak.size import SMALL
from tests.testbed import NativeNode
from tests.testbed.cache import Say
from tests.testbed.node import why_not

_reason = why_not() or why_no_kills()
pytestmark = [pytest.mark.node, pytest.mark.skipif(_reason is not None, reason=_reason or "")]


def test_every_kill_is_counted_once_while_everything_fails(
    native_node: NativeNode, tmp_path: Path, testbed_say: Say
) -> None:
    outcome = run(native_node, folder=tmp_path, size=SMALL, say=testbed_say)
    assert outcome.wrong == []
    assert outcome.kills >= SMALL.kills
    assert (outcome.agent_kills, outcome.controller_kills) == (SMALL.agent_kills, SMALL.controller_kills)
