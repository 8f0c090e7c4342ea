"""Visits to cgroups: outer ones first, bounded however many there are."""

from pathlib import Path

import pytest

from oomkeeper.kernel.cgroup import walk
from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy
from oomkeeper.kernel.cgroup.members import ContainerFolders, processes_below, unit_folders
from oomkeeper.kernel.cgroup.walk import walk_cgroups

UID, OTHER_UID = "0a1b2c3d-1111-2222-3333-444455556666", "0a1b2c3d-9999-2222-3333-444455556666"
CID, OTHER_CID = "ab" * 32, "cd" * 32


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """A cgroup2 mount."""
    (tmp_path / "cgroup.procs").touch()
    return tmp_path


def put(mount: Path, path: str, *pids: int) -> Path:
    folder = mount / path.lstrip("/")
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    return folder


def test_outer_cgroups_come_first_and_the_rest_is_cut(mount: Path) -> None:
    for number in range(30):
        put(mount, f"/kubepods/podx/c/many{number}/deeper")
    put(mount, "/kubepods/pody")
    visited = [str(one.relative_to(mount)) for one in walk_cgroups(mount, max_cgroups=10)]
    assert visited[:2] == [".", "kubepods"]
    assert set(visited[2:4]) == {"kubepods/podx", "kubepods/pody"}
    assert visited[4] == "kubepods/podx/c"
    assert len(visited) == 10


def test_children_of_one_cgroup_are_bounded(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_CHILDREN", 5)
    for number in range(30):
        put(mount, f"/c/many{number}")
    assert len(list(walk_cgroups(mount / "c"))) == 6


def test_links_are_not_followed_and_a_missing_folder_has_nothing(mount: Path) -> None:
    (mount / "loop").symlink_to(mount)
    assert list(walk_cgroups(mount)) == [mount]
    assert list(walk_cgroups(mount / "none")) == []


@pytest.mark.parametrize("run", range(3))
def test_container_is_found_in_its_pod_and_not_where_another_has_made_one(mount: Path, run: int) -> None:
    """Whichever the file system lists first."""
    genuine = f"/kubepods/burstable/pod{UID}/{CID}"
    forger = f"/kubepods/burstable/pod{OTHER_UID}/{OTHER_CID}"
    paths = [
        (genuine, 1),
        (f"{forger}{genuine}", 2),
        (f"{forger}/sub/{CID}", 3),
        (f"/user.slice/user-1000.slice/user@1000.service{genuine}", 4),
        (f"/docker/{OTHER_CID}{genuine}", 5),
    ]
    for path, pid in paths[run:] + paths[:run]:
        put(mount, path, pid)
    found = ContainerFolders(mount).find({CID})
    assert found == {CID: mount / genuine.lstrip("/")}
    assert list(processes_below(found[CID])) == [1]


def test_processes_of_a_container_are_read_from_a_bounded_number_of_its_cgroups(
    mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oomkeeper.kernel.cgroup.members.MAX_INNER_CGROUPS", 10)
    put(mount, "/c", 1)
    for number in range(50):
        put(mount, f"/c/{number}", number + 2)
    assert len(list(processes_below(mount / "c"))) == 10


def test_unit_is_found_below_the_systems_slices_alone(mount: Path) -> None:
    genuine = put(mount, "/system.slice/sshd.service")
    put(mount, "/user.slice/user-1000.slice/user@1000.service/app.slice/sshd.service")
    put(mount, f"/kubepods.slice/kubepods-pod{UID}.slice/sshd.service")
    assert unit_folders(mount, "sshd.service") == [genuine]


def test_kills_are_counted_in_every_visited_cgroup(mount: Path) -> None:
    for path, kills in (("/kubepods/podx/c", 2), ("/kubepods/podx/c/inner", 1), ("/quiet", 0)):
        (put(mount, path) / "memory.events.local").write_text(f"oom 1\noom_kill {kills}\n")
    hierarchy = CgroupHierarchy(mount=mount, version=2, proc=Path("/proc"))
    assert hierarchy.all_oom_kills() == {"/kubepods/podx/c": 2, "/kubepods/podx/c/inner": 1}
