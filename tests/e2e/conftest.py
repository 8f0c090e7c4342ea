"""One cluster for the session; what it looked like where a test failed.

Not part of a plain `pytest`: `make e2e`, or `pytest -m e2e tests/e2e`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import recipes
from tests.testbed.binaries import binaries
from tests.testbed.cache import Say
from tests.testbed.kind import find, install_operator, kind_cluster, why_not
from tests.testbed.saying import to_terminal

from .choosing import Chosen, chosen

HERE = Path(__file__).parent
NEEDS_NO_CLUSTER = ("test_choosing.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a cluster: it is left out unless it is asked for."""
    for item in items:
        if item.path.parent == HERE and item.path.name not in NEEDS_NO_CLUSTER:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Write a line to the terminal even while pytest captures: making a cluster takes minutes."""
    return to_terminal(request)


@pytest.fixture(scope="session")
def cluster(say: Say) -> Iterator[Any]:
    """With oomkeeper running on every node. Raises choosing.RefusedError for one that is not for this."""
    named = chosen(os.environ)
    if named is not None:
        yield _attached(named, say=say)
        return
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with kind_cluster(say=say) as kind:
        install_operator(kind, say=say)
        yield _attached(Chosen(kind.kubeconfig, kind.context), say=say)


def _attached(named: Chosen, *, say: Say) -> Any:
    from kubernetes import config

    from .harness import Cluster, eventually

    own = find(named.context.removeprefix("kind-")) if named.context.startswith("kind-") else None
    kubectl = own.kubectl_path if own else shutil.which("kubectl")
    kubectl = kubectl or binaries((recipes.APISERVER,), say=say)["kubectl"]
    options = (f"--kubeconfig={named.kubeconfig}", f"--context={named.context}")
    made = Cluster(
        api=config.new_client_from_config(str(named.kubeconfig), context=named.context),
        kubectl_command=(kubectl, *options),
        kind=own,
    )
    for node in made.nodes:
        eventually(lambda node=node: made.oomnode(node)["status"]["conditions"])
    return made


@pytest.fixture(scope="session")
def await_reports(cluster: Any) -> Callable[[int], None]:
    """Wait until the kernel prints so many reports in full: 10 in 5 s, for the whole machine."""
    if cluster.kind is None:
        return lambda _count: None
    from tests.kernel.harness import await_reports as wait

    return wait


@pytest.fixture
def space(cluster: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    with cluster.namespace(f"e2e-{request.node.name.removeprefix('test_')}") as name:
        yield name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if item.path.parent == HERE and call.when == "call" and report.failed and cluster is not None:
        from .looking import seen

        report.sections.append(("the cluster", seen(cluster, namespace=item.funcargs.get("space"))))
    return report
