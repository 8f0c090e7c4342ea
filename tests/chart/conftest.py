"""helm without a cluster, for all tests of the rendered chart."""

from __future__ import annotations

import pytest

from tests.cluster.chart_harness import Helm, helm
from tests.testbed.saying import to_terminal


@pytest.fixture(scope="session")
def renderer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return helm, built if needed."""
    return helm(tmp_path_factory.mktemp("helm"), say=to_terminal(request))
