"""The virtual node for the session: the one of `make vmnode` where it is up, else one of our own.

Not part of a plain `pytest`: `make vmnode-test`, or `pytest -m vmnode tests/e2e/vmnode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.cache import Say
from tests.testbed.saying import to_terminal
from tests.testbed.vmnode import find_vm, vm_node, why_not

from .harness import Harness

HERE = Path(__file__).parent
_HOST = Path("/proc/sys")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here: it is left out unless it is asked for."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vmnode)


@pytest.fixture(scope="session")
def vm_say(request: pytest.FixtureRequest) -> Say:
    """Write a line to the terminal even while pytest captures: the first disk takes minutes."""
    return to_terminal(request)


@pytest.fixture(scope="session")
def session_harness(vm_say: Say) -> Iterator[Harness]:
    """A cluster whose one node is a machine of its own, which may panic."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    before = (_HOST / "vm/panic_on_oom").read_text()
    standing = find_vm()
    if standing is not None:
        yield _only_the_guest(Harness(standing))
    else:
        with vm_node(say=vm_say) as node:
            yield _only_the_guest(Harness(node))
    assert (_HOST / "vm/panic_on_oom").read_text() == before


def _only_the_guest(harness: Harness) -> Harness:
    """Only agents write sysctls here, as policies say, and no agent of this cluster is on this kernel."""
    boots = {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["bootID"] for node in harness.items("nodes")
    }
    assert list(boots) == [harness.node.name]
    assert boots[harness.node.name] != (_HOST / "kernel/random/boot_id").read_text().strip()
    return harness


@pytest.fixture
def harness(session_harness: Harness) -> Iterator[Harness]:
    """With a namespace of its own per test, and no policy left after it."""
    session_harness.new_space()
    try:
        yield session_harness
    finally:
        session_harness.clean()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Where a test fails, what the guest was doing."""
    report = yield
    harness = getattr(item, "funcargs", {}).get("harness")
    if harness is not None and report.when == "call" and report.failed:  # type: ignore[attr-defined]
        report.sections.append(("the virtual node", harness.picture()))  # type: ignore[attr-defined]
    return report
