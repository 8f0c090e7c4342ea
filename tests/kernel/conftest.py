"""What the tests on this machine's own kernel share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.tracing import remove_trace_instances
from oomkeeper.kernel.tracefs.location import Tracefs, TracefsUnavailableError
from tests.kernel.harness import Cgroup, Eater, Node, await_reports, cgroups, why_not

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here kills for real: marked so, and skipped with the reason where that cannot be."""
    mine = [item for item in items if HERE in item.path.parents]
    reason = why_not() if mine else None
    for item in mine:
        item.add_marker(pytest.mark.kernel)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def top() -> Iterator[Cgroup]:
    """A cgroup without a limit, for cgroups of the test's own, while the kernel prints full reports."""
    await_reports(5)
    with cgroups() as cgroup:
        yield cgroup


@pytest.fixture
def eater() -> Iterator[Callable[..., Eater]]:
    """Makes eaters."""
    made: list[Eater] = []

    def make(name: str = "eater") -> Eater:
        made.append(Eater(name=name))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Not started yet."""
    made = Node(tmp_path)
    yield made
    if made.running:
        made.kill()
    remove_trace_instances(tracefs=Path("/sys/kernel/tracing"))


@pytest.fixture
def tracefs() -> Iterator[Tracefs]:
    """The kernel's tracing, where it can be had."""
    try:
        found = Tracefs.find()
    except TracefsUnavailableError as error:
        pytest.skip(str(error))
    yield found
    found.close()
