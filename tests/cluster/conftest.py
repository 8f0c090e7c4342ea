"""Real clusters for tests: one of each level per session, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed import ControlPlane, NativeNode
from tests.testbed import control_plane as run_control_plane
from tests.testbed import native_node as run_native_node
from tests.testbed.cache import Say
from tests.testbed.node import why_not
from tests.testbed.saying import to_terminal

from .chart_harness import Helm, helm


@pytest.fixture(scope="session")
def testbed_say(request: pytest.FixtureRequest) -> Say:
    """Write a line to the terminal even while pytest captures: a first build takes minutes."""
    return to_terminal(request)


@pytest.fixture(scope="session")
def control_plane(testbed_say: Say) -> Iterator[ControlPlane]:
    """etcd and kube-apiserver, shared by all tests: give your objects names or a namespace of your own."""
    with run_control_plane(say=testbed_say) as running:
        yield running


@pytest.fixture(scope="session")
def native_node(testbed_say: Say) -> Iterator[NativeNode]:
    """A cluster whose one node is this machine; one per machine at a time, so a second session waits."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with run_native_node(say=testbed_say) as running:
        yield running


@pytest.fixture(scope="session")
def renderer(testbed_say: Say, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """helm without a cluster."""
    return helm(tmp_path_factory.mktemp("helm"), say=testbed_say)
