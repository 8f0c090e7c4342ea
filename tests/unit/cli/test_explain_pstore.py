"""`oomkeeper explain` on what a panicked kernel left in pstore."""

import json
from pathlib import Path

import pytest

from tests.unit.kernel.panic_samples import POD_CGROUP, WRITTEN, panic_lines, parts, write_erst

from .running import oomkeeper

CUTS = (5, 12)


def explained(*words: str | Path, stdin: bytes = b"") -> list[dict]:
    done = oomkeeper("explain", "--output", "json", *words, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)["kills"]


@pytest.fixture
def records(tmp_path: Path) -> list[Path]:
    return write_erst(tmp_path / "pstore", parts(panic_lines(), cuts=CUTS))


def check(kills: list[dict]) -> None:
    [kill] = kills
    assert (kill["cause"], kill["outcome"], kill["oomMemcg"]) == ("PodLimit", "Panicked", POD_CGROUP)
    assert (kill["victims"], kill["taskCount"], kill["complete"]) == ([], 3, True)


def test_dump_of_one_part(tmp_path: Path) -> None:
    [path] = write_erst(tmp_path, parts(panic_lines()))
    check(explained(path))


def test_all_parts_named_in_any_order(records: list[Path]) -> None:
    check(explained(*records))
    check(explained(*reversed(records)))


def test_directory_of_parts(records: list[Path]) -> None:
    check(explained(records[0].parent))


def test_parts_in_a_pipe(records: list[Path]) -> None:
    check(explained("-", stdin=b"".join(path.read_bytes() for path in records)))


def test_systemd_archive_of_two_panics(tmp_path: Path) -> None:
    write_erst(tmp_path / "archive" / "1", parts(panic_lines(), cuts=CUTS))
    write_erst(tmp_path / "archive" / "2", parts(panic_lines(started=9.0)), written=WRITTEN + 9)
    assert [kill["outcome"] for kill in explained(tmp_path / "archive")] == ["Panicked", "Panicked"]


def test_newest_part_alone_is_explained(records: list[Path]) -> None:
    [kill] = explained(records[0])
    assert (kill["outcome"], kill["complete"]) == ("Panicked", False)


def test_several_files_that_are_not_parts_are_rejected(records: list[Path], tmp_path: Path) -> None:
    (tmp_path / "kern.log").write_text("Jan  1 00:00:00 host kernel: x\n")
    done = oomkeeper("explain", records[0], tmp_path / "kern.log")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"kern.log: is not a pstore record" in done.stderr


def test_directory_without_records_is_rejected(tmp_path: Path) -> None:
    done = oomkeeper("explain", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Is a directory without pstore records (dmesg-*)" in done.stderr


def test_report_split_between_two_parts_is_joined() -> None:
    """A 6.1 kernel's ERST: four kills with memory.oom.group, then the limit that the node panicked on."""
    kills = explained(Path(__file__).parents[1] / "kernel" / "data")
    assert [(kill["cause"], kill["outcome"]) for kill in kills] == [
        ("ContainerLimit", "KilledGroup"),
        ("ContainerLimit", "KilledGroup"),
        ("PodLimit", "KilledGroup"),
        ("NUMAMemoryPolicy", "KilledGroup"),
        ("PodLimit", "Panicked"),
    ]
    assert [len(kill["victims"]) for kill in kills] == [2, 3, 3, 1, 0]
    # The kernel keeps the end of its log only, and that begins within the first report.
    assert [kill["complete"] for kill in kills] == [False, True, True, True, True]
    assert [kill["taskCount"] for kill in kills] == [2, 3, 4, 9, 2]
    assert kills[-1]["panic"] == "Out of memory: compulsory panic_on_oom is enabled"
