"""The kill counters of all cgroups, read on files that look like the kernel's."""

import shutil
from pathlib import Path

import pytest

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.oom_counters import CountedKills, OOMKillCounters, known_kills


class Tree:
    """A cgroup file system made of files, which counts kills as the kernel does."""

    def __init__(self, folder: Path, *, version: int, options: str = "rw") -> None:
        self.version = version
        self.mount = folder / "cgroup" / "memory" if version == 1 else folder / "cgroup"
        self.mount.mkdir(parents=True)
        if version == 1:
            (self.mount / "memory.limit_in_bytes").write_text("9223372036854771712\n")
        (folder / "mounts").write_text(f"cgroup2 /sys/fs/cgroup cgroup2 {options} 0 0\n")
        self._options = options
        self.hierarchy = CgroupHierarchy.find(root=folder / "cgroup", proc=folder)
        self.add("/")

    def add(self, path: str) -> None:
        self.folder(path).mkdir(parents=True, exist_ok=True)
        self._write(self.folder(path), own=0, below=0)

    def kill(self, path: str) -> None:
        folder = self.folder(path)
        self._write(folder, own=self._own(folder) + 1, below=self._below(folder) + 1)
        while folder != self.mount and "localevents" not in self._options:
            folder = folder.parent
            self._write(folder, own=self._own(folder), below=self._below(folder) + 1)

    def remove(self, path: str) -> None:
        shutil.rmtree(self.folder(path))

    def folder(self, path: str) -> Path:
        return self.mount / path.lstrip("/")

    def _own(self, folder: Path) -> int:
        return self._value(folder / ("memory.oom_control" if self.version == 1 else "memory.events.local"))

    def _below(self, folder: Path) -> int:
        return 0 if self.version == 1 else self._value(folder / "memory.events")

    @staticmethod
    def _value(file: Path) -> int:
        return int(file.read_text().split("\noom_kill ")[1].split()[0]) if file.exists() else 0

    def _write(self, folder: Path, *, own: int, below: int) -> None:
        if self.version == 1:
            text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {own}\n"
            (folder / "memory.oom_control").write_text(text)
        elif folder != self.mount:  # the root has neither
            for name, kills in (("memory.events.local", own), ("memory.events", below)):
                (folder / name).write_text(f"low 0\noom 99\noom_kill {kills}\noom_group_kill 7\n")


@pytest.fixture(params=[1, 2])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    return Tree(tmp_path, version=request.param)


def kills(counters: OOMKillCounters) -> dict[str, int]:
    return {path: counted.kills for path, counted in counters.read_all().items() if counted.kills}


def test_each_cgroup_has_its_own_kills(tree: Tree) -> None:
    for path in ("/a", "/a/b", "/a/.hidden", "/none"):
        tree.add(path)
    for path in ("/a", "/a/b", "/a/b", "/a/.hidden"):
        tree.kill(path)
    counters = OOMKillCounters(tree.hierarchy)
    assert kills(counters) == {"/a": 1, "/a/b": 2, "/a/.hidden": 1}
    tree.kill("/a/b")
    tree.add("/new")
    tree.kill("/new")
    assert kills(counters) == {"/a": 1, "/a/b": 3, "/a/.hidden": 1, "/new": 1}


def test_one_cgroup_is_read_alone(tree: Tree) -> None:
    tree.add("/a")
    tree.kill("/a")
    counters = OOMKillCounters(tree.hierarchy)
    assert counters.read("/a") == CountedKills(1, tree.folder("/a").stat().st_ino)
    assert counters.read("/gone") is None


def test_removed_cgroup_keeps_its_last_count(tree: Tree) -> None:
    tree.add("/a")
    tree.kill("/a")
    counters = OOMKillCounters(tree.hierarchy)
    counters.read_all()
    tree.remove("/a")
    assert kills(counters) == {"/a": 1}


def test_cgroup_made_again_under_its_name_counts_from_0(tree: Tree) -> None:
    tree.add("/a")
    tree.kill("/a")
    before = OOMKillCounters(tree.hierarchy).read_all()
    tree.folder("/a").rename(tree.folder("/away"))
    tree.add("/a")
    tree.kill("/a")
    now = OOMKillCounters(tree.hierarchy).read_all()["/a"]
    assert known_kills(before, "/a", now.inode) == 0
    assert known_kills(before, "/a", before["/a"].inode) == 1


def test_quiet_subtree_of_version_2_is_not_entered(tmp_path: Path) -> None:
    tree = Tree(tmp_path, version=2)
    for path in ("/quiet", "/quiet/a"):
        tree.add(path)
    counters = OOMKillCounters(tree.hierarchy)
    counters.read_all()
    # Cannot happen in a kernel: shows that the file is not read.
    (tree.folder("/quiet/a") / "memory.events.local").write_text("oom 1\noom_kill 5\n")
    assert kills(counters) == {}


def test_events_mounted_local_do_not_stand_for_what_is_below(tmp_path: Path) -> None:
    tree = Tree(tmp_path, version=2, options="rw,memory_localevents")
    for path in ("/a", "/a/b"):
        tree.add(path)
    counters = OOMKillCounters(tree.hierarchy)
    counters.read_all()
    tree.kill("/a/b")
    assert kills(counters) == {"/a/b": 1}


def test_kernel_without_own_counts_has_none(tmp_path: Path) -> None:
    tree = Tree(tmp_path, version=2)
    tree.add("/a")
    tree.kill("/a")
    (tree.folder("/a") / "memory.events.local").unlink()
    assert kills(OOMKillCounters(tree.hierarchy)) == {}
