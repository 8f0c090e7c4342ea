"""Which limit must have been met, told from the limits in force and the counters of failed charges."""

from pathlib import Path

import pytest

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.limits import Limited, limits_of, only_possible

UNLIMITED = {1: "9223372036854771712", 2: "max"}


class Cgroups:
    """Limits and counters as files."""

    def __init__(self, folder: Path, *, version: int) -> None:
        self.version = version
        self.mount = folder / "memory" if version == 1 else folder
        self.mount.mkdir(parents=True, exist_ok=True)
        if version == 1:
            (self.mount / "memory.limit_in_bytes").write_text(UNLIMITED[1])
        self.hierarchy = CgroupHierarchy.find(root=folder, proc=folder)

    def add(self, path: str, *, limit: int | None = None, failures: int = 0) -> None:
        folder = self.mount / path.lstrip("/")
        folder.mkdir()
        text = UNLIMITED[self.version] if limit is None else str(limit)
        if self.version == 1:
            (folder / "memory.limit_in_bytes").write_text(text)
            (folder / "memory.failcnt").write_text(str(failures))
        else:
            (folder / "memory.max").write_text(text)
            (folder / "memory.events.local").write_text(f"low 0\nmax 400\noom {failures}\noom_kill 9\n")


@pytest.fixture(params=[1, 2])
def cgroups(tmp_path: Path, request: pytest.FixtureRequest) -> Cgroups:
    return Cgroups(tmp_path / "cgroup", version=request.param)


def found(cgroups: Cgroups, path: str) -> Limited | None:
    return only_possible(limits_of(cgroups.hierarchy, path))


def test_the_only_limit_above_a_process_is_the_one_that_was_met(cgroups: Cgroups) -> None:
    cgroups.add("/top")
    cgroups.add("/top/parent", limit=4096)
    cgroups.add("/top/parent/child")
    assert found(cgroups, "/top/parent/child") == Limited("/top/parent", 4096, 0)


def test_of_several_limits_it_is_the_one_whose_charges_failed(cgroups: Cgroups) -> None:
    cgroups.add("/parent", limit=8192, failures=3)
    cgroups.add("/parent/child", limit=4096)
    assert found(cgroups, "/parent/child") == Limited("/parent", 8192, 3)


def test_two_that_have_failed_charges_leave_it_open(cgroups: Cgroups) -> None:
    cgroups.add("/parent", limit=8192, failures=3)
    cgroups.add("/parent/child", limit=4096, failures=1)
    assert found(cgroups, "/parent/child") is None


def test_none_with_failed_charges_leaves_it_open(cgroups: Cgroups) -> None:
    cgroups.add("/parent", limit=8192)
    cgroups.add("/parent/child", limit=4096)
    assert found(cgroups, "/parent/child") is None


def test_a_kernel_without_these_counters_leaves_it_open(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path / "cgroup", version=2)
    cgroups.add("/parent", limit=8192, failures=3)
    cgroups.add("/parent/child", limit=4096)
    (cgroups.mount / "parent" / "child" / "memory.events.local").unlink()
    assert found(cgroups, "/parent/child") is None


def test_a_cgroup_that_is_gone_tells_nothing_of_its_limits(cgroups: Cgroups) -> None:
    cgroups.add("/parent", limit=8192, failures=3)
    assert limits_of(cgroups.hierarchy, "/parent/gone") == ()
    assert found(cgroups, "/parent/gone") is None


def test_failures_of_memory_and_swap_count_for_the_same_limit(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path / "cgroup", version=1)
    cgroups.add("/parent", limit=8192)
    (cgroups.mount / "parent" / "memory.memsw.failcnt").write_text("5\n")
    cgroups.add("/parent/child", limit=4096)
    assert found(cgroups, "/parent/child") == Limited("/parent", 8192, 5)


def test_limit_that_failed_charges_since_is_the_one(cgroups: Cgroups) -> None:
    cgroups.add("/parent", limit=8192, failures=3)
    cgroups.add("/parent/child", limit=4096, failures=2)
    limits = limits_of(cgroups.hierarchy, "/parent/child")

    def since(parent: int, child: int) -> Limited | None:
        return only_possible(limits, failures_before={"/parent": parent, "/parent/child": child})

    assert since(3, 1) == limits[0]
    assert since(2, 2) == limits[1]
    assert since(2, 1) is None
    assert since(3, 2) is None
    # Another cgroup of that name, which began at 0.
    assert since(3, 9) == limits[0]


def test_limit_far_above_the_peak_was_not_reached(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path / "cgroup", version=2)
    cgroups.add("/pod", limit=64 << 20)
    cgroups.add("/pod/app", limit=32 << 20)
    for path, peak in (("pod", 40 << 20), ("pod/app", 32 << 20)):
        (cgroups.mount / path / "memory.events.local").unlink()
        (cgroups.mount / path / "memory.peak").write_text(f"{peak}\n")
    limit = found(cgroups, "/pod/app")
    assert limit is not None
    assert limit.path == "/pod/app"
    (cgroups.mount / "pod" / "memory.peak").write_text(f"{(64 << 20) - 4096}\n")
    assert found(cgroups, "/pod/app") is None
