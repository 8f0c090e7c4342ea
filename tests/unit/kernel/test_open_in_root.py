"""Files below another root: what their links may and may not lead to."""

import os
from pathlib import Path

import pytest

from oomkeeper.kernel.bounded_read import UnsuitableFileError
from oomkeeper.kernel.open_in_root import list_in_root, read_in_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a secret outside of it."""
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "etc" / "kubelet").mkdir(parents=True)
    (root / "etc" / "kubelet" / "config").write_text("inside")
    return root


def read(root: Path, path: str, *, max_bytes: int = 100) -> str:
    return read_in_root(root, path, max_bytes=max_bytes).decode()


@pytest.mark.parametrize(
    "path", ["/etc/kubelet/config", "etc//kubelet/./config", "/etc/../etc/kubelet/config"]
)
def test_path_is_resolved_below_the_root(root: Path, path: str) -> None:
    assert read(root, path) == "inside"


def test_absolute_link_begins_at_the_root(root: Path) -> None:
    (root / "current").symlink_to("/etc/kubelet")
    (root / "etc" / "file").symlink_to("../current/config")
    assert read(root, "/etc/file") == "inside"


@pytest.mark.parametrize("target", ["../secret", "/../secret", "../../secret", "etc/../../secret"])
def test_no_link_leads_out_of_the_root(root: Path, target: str) -> None:
    (root / "link").symlink_to(target)
    with pytest.raises(FileNotFoundError):
        read(root, "/link")


def test_absolute_link_to_a_file_outside_is_not_found(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    for path in ("/link", "/folder/secret", "../secret", "/../../secret"):
        with pytest.raises(FileNotFoundError):
            read(root, path)


def test_links_in_a_circle_end_with_an_error(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        read(root, "/one")


def test_fifo_folder_and_large_file_are_refused(root: Path) -> None:
    os.mkfifo(root / "fifo")
    for path in ("/fifo", "/etc"):
        with pytest.raises(UnsuitableFileError, match="not a regular file"):
            read(root, path)
    with pytest.raises(UnsuitableFileError, match="larger than 5 bytes"):
        read(root, "/etc/kubelet/config", max_bytes=5)


def test_file_is_not_taken_for_a_folder_and_zero_bytes_are_refused(root: Path) -> None:
    with pytest.raises(NotADirectoryError):
        read(root, "/etc/kubelet/config/x")
    with pytest.raises(UnsuitableFileError, match="zero byte"):
        read(root, "/etc\0/x")


def test_no_descriptor_is_left_open(root: Path) -> None:
    (root / "current").symlink_to("/etc/kubelet")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("/current/config", "/current/none", "/etc/kubelet/../../../x", "/etc"):
        try:
            read(root, path)
        except OSError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_folder_is_listed_by_name_up_to_a_limit(root: Path) -> None:
    (root / "etc" / "kubelet" / "a.d").mkdir()
    assert list_in_root(root, "/etc/kubelet", max_entries=2) == [("a.d", True), ("config", False)]
    with pytest.raises(UnsuitableFileError, match="more than 1 entries"):
        list_in_root(root, "/etc/kubelet", max_entries=1)
