"""Dumps read from pstore: parts joined in the log's order, whatever backend or archive holds them."""

import os
from pathlib import Path

import pytest

from oomkeeper.kernel.pstore import Dump, in_order, is_dump, read_dumps, record_files

from .panic_samples import WRITTEN, panic_lines, parts, write_erst

LINES = panic_lines()
WHOLE = "".join(f"{line}\n" for line in LINES).encode()
CUTS = (5, 12)


def only(folder: Path, *, archive: Path | None = None) -> Dump:
    [dump] = read_dumps(pstore=folder, archive=archive)
    return dump


def test_the_parts_of_a_dump_are_one_log_oldest_line_first(tmp_path: Path) -> None:
    write_erst(tmp_path, parts(LINES, cuts=CUTS))
    dump = only(tmp_path)
    assert dump.text == WHOLE
    assert (dump.reason, dump.whole, dump.time, len(dump.files)) == ("Panic", True, WRITTEN, 3)
    assert [record.text for record in dump.records()][-1] == b" panic+0x10c/0x2a5"


def test_a_text_that_a_process_wrote_stays_no_kernel_record(tmp_path: Path) -> None:
    write_erst(tmp_path, parts(["<12>[   60.000000] Out of memory: Killed process 1 (init)", *LINES]))
    assert [record.kernel for record in only(tmp_path).records()][:2] == [False, True]


def test_two_boots_of_which_both_left_parts_are_two_dumps(tmp_path: Path) -> None:
    write_erst(tmp_path, parts(LINES, cuts=CUTS))
    other = panic_lines(started=99.0)
    write_erst(tmp_path, parts(other, cuts=(7,)), written=WRITTEN + 100)
    first, second = read_dumps(pstore=tmp_path)
    assert first.text == WHOLE
    assert second.text.decode().splitlines() == other
    assert first.identity != second.identity


def test_an_oops_before_the_panic_of_the_same_boot_is_another_dump(tmp_path: Path) -> None:
    write_erst(tmp_path, [*parts(["<4>[ 1.0] x"], heading="Oops#1"), *parts(LINES, heading="Panic#2")])
    assert [dump.reason for dump in read_dumps(pstore=tmp_path)] == ["Oops", "Panic"]


def test_a_missing_part_is_told(tmp_path: Path) -> None:
    paths = write_erst(tmp_path, parts(LINES, cuts=CUTS))
    paths[1].unlink()
    assert not only(tmp_path).whole


@pytest.mark.parametrize("name", ["efi", "efi_pstore"])
def test_efi_numbers_its_parts_within_a_second(tmp_path: Path, name: str) -> None:
    for number, text in enumerate(parts(LINES, cuts=CUTS), start=1):
        (tmp_path / f"dmesg-{name}-{(WRITTEN * 100 + number) * 1000 + 1}").write_text(text)
    for number, text in enumerate(parts(panic_lines(started=5.0), cuts=(3,)), start=1):
        (tmp_path / f"dmesg-{name}-{((WRITTEN + 1) * 100 + number) * 1000 + 1}").write_text(text)
    assert [len(dump.files) for dump in read_dumps(pstore=tmp_path)] == [3, 2]
    assert read_dumps(pstore=tmp_path)[0].text == WHOLE


def test_each_record_of_ramoops_is_a_dump_and_its_note_on_errors_is_no_part_of_the_log(
    tmp_path: Path,
) -> None:
    [text] = parts(LINES)
    (tmp_path / "dmesg-ramoops-0").write_text(text + "\nECC: No errors detected\n")
    (tmp_path / "dmesg-ramoops-1").write_text(parts(panic_lines(started=9.0))[0])
    first, second = read_dumps(pstore=tmp_path)
    assert first.text == WHOLE
    assert second.text != WHOLE


def test_what_systemd_has_moved_is_the_same_dump_with_the_time_of_its_id(tmp_path: Path) -> None:
    live, archive = tmp_path / "pstore", tmp_path / "archive"
    write_erst(live, parts(LINES, cuts=CUTS))
    moved = only(live)
    folder = archive / "7600000000000000002"
    folder.mkdir(parents=True)
    for path in live.iterdir():
        path.rename(folder / path.name)
        os.utime(folder / path.name)
    (folder / "dmesg.txt").write_bytes(WHOLE)
    archived = only(live, archive=archive)
    assert (archived.identity, archived.text) == (moved.identity, moved.text)
    assert archived.time == WRITTEN


def test_a_dump_of_which_half_is_moved_is_read_whole_and_once(tmp_path: Path) -> None:
    live, archive = tmp_path / "pstore", tmp_path / "archive"
    paths = write_erst(live, parts(LINES, cuts=CUTS))
    (archive / "x").mkdir(parents=True)
    for path in paths[1:]:
        path.rename(archive / "x" / path.name)
    (archive / "x" / paths[0].name).write_text(paths[0].read_text())
    assert only(live, archive=archive).text == WHOLE


def test_what_is_no_record_and_what_could_not_be_decompressed_is_passed_over(tmp_path: Path) -> None:
    for name in ("console-ramoops-0", "dmesg-erst-5.enc.z", "dmesg.txt", "dmesg-erst-x"):
        (tmp_path / name).write_bytes(b"\x78\x9c")
    assert record_files(pstore=tmp_path) == {}
    assert read_dumps(pstore=tmp_path / "absent", archive=tmp_path / "absent too") == []


@pytest.mark.parametrize("newest_first", [True, False])
def test_parts_after_each_other_in_one_text_are_put_in_order(newest_first: bool) -> None:
    texts = parts(LINES, cuts=CUTS)
    other = parts(panic_lines(started=7.0), cuts=(2, 4))
    ordered = [*texts, *other] if newest_first else [*texts[::-1], *other[::-1]]
    data = "".join(ordered).encode()
    assert is_dump(data)
    assert in_order(data).startswith(WHOLE)
    assert in_order(data).decode().splitlines()[len(LINES) :] == panic_lines(started=7.0)


def test_systemds_dmesg_txt_is_told_and_put_in_order() -> None:
    texts = parts(LINES, cuts=CUTS)[::-1]
    data = "".join(f"dmesg-erst-{9 - at}:\n{text}" for at, text in enumerate(texts)).encode()
    assert is_dump(data)
    assert in_order(data) == WHOLE
    assert not is_dump(WHOLE)
