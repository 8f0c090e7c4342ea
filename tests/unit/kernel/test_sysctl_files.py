"""Sysctls below a /proc/sys of our own, the drop-in, and who else sets them in /etc."""

from pathlib import Path

import pytest

from oomkeeper.kernel.facts import parse_id_list, read_node_facts
from oomkeeper.kernel.sysctl import (
    DROP_IN_NAME,
    SysctlError,
    Sysctls,
    find_setting,
    render_drop_in,
    write_drop_in,
)
from oomkeeper.kernel.vmstat import read_oom_kills

KEY = "vm.swappiness"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm" / "swappiness").write_text("60\n")
    return tmp_path


def test_a_value_is_set_and_read_back(root: Path) -> None:
    sysctls = Sysctls(root=root)
    assert sysctls.read(KEY) == 60
    sysctls.write(KEY, 10)
    assert sysctls.read(KEY) == 10


@pytest.mark.parametrize(("key", "value"), [("vm.drop_caches", 3), (KEY, 201), (KEY, -1), ("../../etc", 0)])
def test_nothing_outside_the_list_or_its_range_is_touched(root: Path, key: str, value: int) -> None:
    with pytest.raises(SysctlError):
        Sysctls(root=root).write(key, value)
    assert sorted(path.name for path in root.rglob("*")) == ["swappiness", "vm"]
    assert (root / "vm" / "swappiness").read_text() == "60\n"


def test_a_missing_key_and_an_unreadable_one_are_told_apart(root: Path) -> None:
    sysctls = Sysctls(root=root)
    with pytest.raises(SysctlError) as missing:
        sysctls.read("vm.oom_dump_tasks")
    assert missing.value.missing
    with pytest.raises(SysctlError) as missing:
        sysctls.write("vm.oom_dump_tasks", 0)
    assert missing.value.missing
    (root / "vm" / "swappiness").write_text("")
    with pytest.raises(SysctlError) as unreadable:
        sysctls.read(KEY)
    assert not unreadable.value.missing


def test_a_value_that_the_kernel_keeps_otherwise_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysctls = Sysctls(root=root)
    monkeypatch.setattr(sysctls, "read", lambda _key: 11)
    with pytest.raises(SysctlError, match="wrote 10, the kernel kept 11"):
        sysctls.write(KEY, 10)


def test_a_link_in_the_keys_place_is_not_followed(root: Path) -> None:
    elsewhere = root / "elsewhere"
    elsewhere.write_text("1")
    (root / "vm" / "swappiness").unlink()
    (root / "vm" / "swappiness").symlink_to(elsewhere)
    with pytest.raises(SysctlError):
        Sysctls(root=root).write(KEY, 10)
    assert elsewhere.read_text() == "1"


def test_the_drop_in_changes_only_when_its_text_does_and_goes_when_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "sysctl.d"
    text = render_drop_in({KEY: 10}, {KEY: "policy p"})
    assert write_drop_in(text, folder=folder)
    assert not write_drop_in(text, folder=folder)
    assert (folder / DROP_IN_NAME).read_text() == text
    assert "policy p" in text
    assert write_drop_in(None, folder=folder)
    assert not write_drop_in(None, folder=folder)
    assert list(folder.iterdir()) == []


def test_the_last_file_that_sets_a_key_is_found_our_own_aside(tmp_path: Path) -> None:
    folder = tmp_path / "sysctl.d"
    folder.mkdir()
    assert find_setting(KEY, etc=tmp_path) is None
    (tmp_path / "sysctl.conf").write_text(f"{KEY}=1\n")
    (folder / "50-b.conf").write_text(f"# {KEY}=5\n; x\n-vm/swappiness = 2\n{KEY} = many\nvm.swap=9\n")
    (folder / DROP_IN_NAME).write_text(f"{KEY} = 3\n")
    (folder / "60-gone.conf").symlink_to(folder / "nowhere")
    (folder / "70-bytes.conf").write_bytes(b"\xff\xfe=\n")
    assert find_setting(KEY, etc=tmp_path) == (folder / "50-b.conf", 2)


def test_kills_are_read_from_vmstat_and_unknown_on_old_kernels(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 42\noom_killer 7\n")
    assert read_oom_kills(proc=tmp_path) == 42
    (tmp_path / "vmstat").write_text("nr_free_pages 1\n")
    assert read_oom_kills(proc=tmp_path) is None
    assert (read_oom_kills() or 0) >= 0


@pytest.mark.parametrize(
    ("text", "ids"), [("0\n", (0,)), ("0-2,5", (0, 1, 2, 5)), ("\n", ()), ("1,3", (1, 3))]
)
def test_id_lists(text: str, ids: tuple[int, ...]) -> None:
    assert parse_id_list(text) == ids


def test_this_hosts_facts_are_those_that_the_kernel_gives() -> None:
    import os

    facts = read_node_facts()
    assert facts.kernel_release == os.uname().release
    assert facts.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert facts.memory_bytes >= os.sysconf("SC_PHYS_PAGES") * facts.page_size_bytes * 0.9
    assert facts.online_nodes
