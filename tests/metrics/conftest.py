"""The real Prometheus, for all tests of rules, dashboard and endpoints."""

from __future__ import annotations

import pytest

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
