"""Where the memory controller is, and what its files say."""

from pathlib import Path

import pytest

from oomkeeper.agent.cgroup_kill_counters import counter_key
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy


class Tree:
    """A cgroup file system made of files."""

    def __init__(self, folder: Path, *, version: int) -> None:
        self.root, self.proc, self.version = folder / "cgroup", folder / "proc", version
        self.mount = self.root / "memory" if version == 1 else self.root
        self.mount.mkdir(parents=True)
        self.proc.mkdir()
        if version == 1:
            (self.mount / "memory.limit_in_bytes").write_text("9223372036854771712\n")
        self.hierarchy = CgroupHierarchy.find(root=self.root, proc=self.proc)

    def kills(self, path: str, count: int) -> None:
        folder = self.mount / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        if self.version == 1:
            text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {count}\n"
            (folder / "memory.oom_control").write_text(text)
        else:
            (folder / "memory.events").write_text(f"oom 99\noom_kill {count + 50}\n")
            (folder / "memory.events.local").write_text(f"oom 99\noom_kill {count}\noom_group_kill 0\n")

    def process(self, pid: int, text: str) -> None:
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "cgroup").write_text(text)


@pytest.fixture(params=[1, 2])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    return Tree(tmp_path, version=request.param)


def test_the_version_is_that_of_the_memory_controller(tree: Tree) -> None:
    assert tree.hierarchy.version == tree.version
    assert tree.hierarchy.mount == tree.mount


def test_a_process_is_found_where_its_memory_is_counted(tree: Tree) -> None:
    tree.process(7, "12:cpu,cpuacct:/cpu\n4:memory:/a/b:c\n1:name=systemd:/unit\n0::/a/b:c (deleted)\n")
    assert tree.hierarchy.path_of(7) == "/a/b:c"
    assert tree.hierarchy.path_of(8) is None


def test_the_numbers_of_v1(tmp_path: Path) -> None:
    tree = Tree(tmp_path, version=1)
    tree.kills("/a", 3)
    folder = tree.mount / "a"
    (folder / "memory.limit_in_bytes").write_text("1048576\n")
    (folder / "memory.usage_in_bytes").write_text("524288\n")
    (folder / "memory.memsw.limit_in_bytes").write_text("9223372036854771712\n")
    memory = tree.hierarchy.memory("/a")
    assert memory is not None
    assert (memory.limit_bytes, memory.usage_bytes, memory.peak_bytes) == (1048576, 524288, None)
    assert (memory.swap_limit_bytes, memory.oom_kills) == (None, 3)


def test_the_numbers_of_v2(tmp_path: Path) -> None:
    tree = Tree(tmp_path, version=2)
    tree.kills("/a", 3)
    folder = tree.mount / "a"
    (folder / "memory.max").write_text("max\n")
    (folder / "memory.swap.max").write_text("4096\n")
    (folder / "memory.oom.group").write_text("1\n")
    memory = tree.hierarchy.memory("/a")
    assert memory is not None
    assert (memory.limit_bytes, memory.swap_limit_bytes, memory.oom_kills) == (None, 4096, 3)
    assert memory.oom_group
    (folder / "memory.events.local").unlink()
    assert tree.hierarchy.oom_kills(folder) == 53


def test_what_is_gone_is_none(tree: Tree) -> None:
    assert tree.hierarchy.memory("/gone") is None
    assert tree.hierarchy.inode("/gone") is None
    assert tree.hierarchy.processes("/gone") == ()
    assert tree.hierarchy.oom_kills(tree.mount / "gone") is None


def test_every_cgroup_with_kills_is_listed_by_its_path(tree: Tree) -> None:
    tree.kills("/", 1)
    tree.kills("/a", 0)
    tree.kills("/a/.hidden", 2)
    assert tree.hierarchy.all_oom_kills() == {"/": 1, "/a/.hidden": 2}


def test_the_hosts_and_the_namespaces_spelling_of_a_pods_path_are_one() -> None:
    inner = "/kubelet/kubepods/burstable/podx/c"
    assert counter_key(f"/docker/abc{inner}") == counter_key(inner)
    assert counter_key("/a\udcff") == counter_key("/a\\xff")
