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


def test_parts_of_dump_are_joined_oldest_line_first(tmp_path: Path) -> None:
    write_erst(tmp_path, parts(LINES, cuts=CUTS))
    dump = only(tmp_path)
    assert dump.text == WHOLE
    assert (dump.reason, dump.whole, dump.time, len(dump.files)) == ("Panic", True, WRITTEN, 3)
    assert [record.text for record in dump.records()][-1] == b" panic+0x10c/0x2a5"


def test_text_of_process_is_no_kernel_record(tmp_path: Path) -> None:
    write_erst(tmp_path, parts(["<12>[   60.000000] Out of memory: Killed process 1 (init)", *LINES]))
    assert [record.kernel for record in only(tmp_path).records()][:2] == [False, True]


def test_parts_of_two_boots_are_two_dumps(tmp_path: Path) -> None:
    write_erst(tmp_path, parts(LINES, cuts=CUTS))
    other = panic_lines(started=99.0)
    write_erst(tmp_path, parts(other, cuts=(7,)), written=WRITTEN + 100)
    first, second = read_dumps(pstore=tmp_path)
    assert first.text == WHOLE
    assert second.text.decode().splitlines() == other
    assert first.identity != second.identity


def test_oops_before_panic_of_same_boot_is_another_dump(tmp_path: Path) -> None:
    write_erst(tmp_path, [*parts(["<4>[ 1.0] x"], heading="Oops#1"), *parts(LINES, heading="Panic#2")])
    assert [dump.reason for dump in read_dumps(pstore=tmp_path)] == ["Oops", "Panic"]


def test_missing_part_is_reported(tmp_path: Path) -> None:
    paths = write_erst(tmp_path, parts(LINES, cuts=CUTS))
    paths[1].unlink()
    assert not only(tmp_path).whole


@pytest.mark.parametrize("name", ["efi", "efi_pstore"])
def test_efi_parts_within_second_are_ordered(tmp_path: Path, name: str) -> None:
    for number, text in enumerate(parts(LINES, cuts=CUTS), start=1):
        (tmp_path / f"dmesg-{name}-{(WRITTEN * 100 + number) * 1000 + 1}").write_text(text)
    for number, text in enumerate(parts(panic_lines(started=5.0), cuts=(3,)), start=1):
        (tmp_path / f"dmesg-{name}-{((WRITTEN + 1) * 100 + number) * 1000 + 1}").write_text(text)
    assert [len(dump.files) for dump in read_dumps(pstore=tmp_path)] == [3, 2]
    assert read_dumps(pstore=tmp_path)[0].text == WHOLE


def test_ramoops_record_is_dump_without_error_correction_note(
    tmp_path: Path,
) -> None:
    [text] = parts(LINES)
    (tmp_path / "dmesg-ramoops-0").write_text(text + "\nECC: No errors detected\n")
    (tmp_path / "dmesg-ramoops-1").write_text(parts(panic_lines(started=9.0))[0])
    first, second = read_dumps(pstore=tmp_path)
    assert first.text == WHOLE
    assert second.text != WHOLE


def test_dump_moved_by_systemd_keeps_identity_and_time(tmp_path: Path) -> None:
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


def test_half_moved_dump_is_read_once_and_complete(tmp_path: Path) -> None:
    live, archive = tmp_path / "pstore", tmp_path / "archive"
    paths = write_erst(live, parts(LINES, cuts=CUTS))
    (archive / "x").mkdir(parents=True)
    for path in paths[1:]:
        path.rename(archive / "x" / path.name)
    (archive / "x" / paths[0].name).write_text(paths[0].read_text())
    assert only(live, archive=archive).text == WHOLE


def test_other_files_and_compressed_records_are_skipped(tmp_path: Path) -> None:
    for name in ("console-ramoops-0", "dmesg-erst-5.enc.z", "dmesg.txt", "dmesg-erst-x"):
        (tmp_path / name).write_bytes(b"\x78\x9c")
    assert record_files(pstore=tmp_path) == {}
    assert read_dumps(pstore=tmp_path / "absent", archive=tmp_path / "absent too") == []


@pytest.mark.parametrize("newest_first", [True, False])
def test_concatenated_parts_are_put_in_order(newest_first: bool) -> None:
    texts = parts(LINES, cuts=CUTS)
    other = parts(panic_lines(started=7.0), cuts=(2, 4))
    ordered = [*texts, *other] if newest_first else [*texts[::-1], *other[::-1]]
    data = "".join(ordered).encode()
    assert is_dump(data)
    assert in_order(data).startswith(WHOLE)
    assert in_order(data).decode().splitlines()[len(LINES) :] == panic_lines(started=7.0)


def test_dmesg_txt_of_systemd_is_recognised_and_put_in_order() -> None:
    texts = parts(LINES, cuts=CUTS)[::-1]
    data = "".join(f"dmesg-erst-{9 - at}:\n{text}" for at, text in enumerate(texts)).encode()
    assert is_dump(data)
    assert in_order(data) == WHOLE
    assert not is_dump(WHOLE)
