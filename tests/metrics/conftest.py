"""The real Prometheus, for all tests of rules, dashboard and endpoints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed import ControlPlane
from tests.testbed import control_plane as run_control_plane
from tests.testbed.errors import TestbedError
from tests.testbed.prometheus import Prometheus, prometheus
from tests.testbed.saying import to_terminal


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Prometheus:
    """Return prometheus and promtool; skips where Debian's package cannot be had."""
    try:
        return prometheus(say=to_terminal(request))
    except TestbedError as error:
        pytest.skip(f"no Prometheus: {error}")


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """Return etcd and kube-apiserver."""
    with run_control_plane(say=to_terminal(request)) as running:
        yield running
