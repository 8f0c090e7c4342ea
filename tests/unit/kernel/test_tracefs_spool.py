"""The file that keeps the pages of a trace for the reader after one that was killed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.kernel.tracefs.pages import parse_page
from oomkeeper.kernel.tracefs.spool import HALF_BYTES, PageSpool, Spooled, SpoolError

from .test_tracefs_records import LAYOUT, entry, page, record

BOOT = "6f1d5c5e-0b0e-4f7c-9a53-3f5b8a7f0c11"


class Kernel:
    """A pipe of pages, and the kernel's count of records that were read from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read_count = 0
        self._read, self._write = os.pipe2(os.O_NONBLOCK)

    def open(self, *, made: bool = False, boot_id: str = BOOT) -> PageSpool:
        return PageSpool(
            self.path, boot_id=boot_id, layout=LAYOUT, records_read=lambda: self.read_count, made=made
        )

    def trace(self, *, records: int, started: int = 1000) -> bytes:
        """One page, of which the kernel clears the rest."""
        made = page(*[entry(record(1))] * records, started=started).rstrip(b"\xaa").ljust(4096, b"\0")
        os.write(self._write, made)
        return made

    def read(self, spool: PageSpool) -> bytes:
        found = spool.read(self._read)
        self.read_count += len(parse_page(found, LAYOUT).records)
        return found

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    made = Kernel(tmp_path / "cgroup-trace")
    yield made
    made.close()


def inherited(spool: PageSpool) -> Spooled | None:
    found = spool.inherited
    spool.close()
    return found


def records(spooled: Spooled | None) -> list[int]:
    assert spooled is not None
    return [len(parse_page(one, LAYOUT).records) for one in spooled.pages]


def test_next_reader_gets_every_page(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    for count in (1, 5, 180):
        made = kernel.trace(records=count)
        assert kernel.read(spool) == made
    # Not closed: its process was killed.
    second = kernel.open()
    assert records(second.inherited) == [1, 5, 180]
    assert second.inherited is not None
    assert second.inherited.since_ns == 0
    kernel.trace(records=2)
    kernel.read(second)
    assert records(inherited(kernel.open())) == [1, 5, 180, 2]
    second.close()
    spool.close()


def test_reading_nothing_keeps_nothing(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    with pytest.raises(BlockingIOError):
        kernel.read(spool)
    assert records(inherited(kernel.open())) == []
    spool.close()


def test_pages_that_somebody_else_read_are_noticed(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    kernel.trace(records=3)
    kernel.read(spool)
    kernel.read_count += 1
    assert inherited(kernel.open()) is None
    spool.close()


@pytest.mark.parametrize(
    "case", ["new instance", "other boot", "no file"], ids=lambda case: case.replace(" ", "_")
)
def test_pages_of_another_trace_are_left_out(kernel: Kernel, case: str) -> None:
    spool = kernel.open(made=True)
    kernel.trace(records=3)
    kernel.read(spool)
    spool.close()
    if case == "no file":
        kernel.path.unlink()
    second = kernel.open(made=case == "new instance", boot_id="other" if case == "other boot" else BOOT)
    assert second.inherited is None
    second.close()


def test_file_stays_small_and_says_since_when_it_is_complete(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    sizes = []
    for number in range(400):
        sizes.append(1 + number % 180)
        kernel.trace(records=sizes[-1], started=number)
        kernel.read(spool)
    kept = inherited(kernel.open())
    found = records(kept)
    assert found == sizes[-len(found) :]
    assert len(found) < len(sizes)
    assert kept is not None
    assert kept.since_ns > 0
    assert sum(map(len, kept.pages)) > HALF_BYTES / 2
    assert kernel.path.stat().st_size == 2 * HALF_BYTES
    spool.close()


def test_number_is_kept_over_restarts_and_halves(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    assert spool.skew_ns == 0
    spool.keep_skew(-5_000_000_000)
    for _ in range(120):
        kernel.trace(records=180)
        kernel.read(spool)
    spool.close()
    second = kernel.open()
    assert second.skew_ns == -5_000_000_000
    second.close()


def test_discarded_file_is_gone(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    spool.discard()
    assert not kernel.path.exists()


def test_link_in_its_place_is_not_followed(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    kernel.path.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        kernel.open(made=True)
    assert (tmp_path / "other").read_text() == "kept"


def test_file_that_takes_no_page_loses_none(kernel: Kernel) -> None:
    spool = kernel.open(made=True)
    made = kernel.trace(records=3)
    os.close(spool._fd)
    with pytest.raises(SpoolError, match="cgroup-trace"):
        kernel.read(spool)
    spool._fd = os.open(kernel.path, os.O_RDWR)
    assert kernel.read(spool) == made
    spool.close()


@pytest.mark.parametrize("seed", range(40))
def test_damaged_file_gives_no_page_or_all(kernel: Kernel, seed: int) -> None:
    choose = random.Random(seed)
    spool = kernel.open(made=True)
    for number in range(choose.choice([3, 150])):
        kernel.trace(records=1 + number % 180)
        kernel.read(spool)
    spool.close()
    whole = inherited(kernel.open())
    assert whole is not None
    damaged = bytearray(kernel.path.read_bytes())
    for _ in range(choose.choice([1, 50])):
        damaged[choose.randrange(choose.choice([200, len(damaged)]))] = choose.randrange(256)
    kernel.path.write_bytes(damaged[: choose.choice([len(damaged), choose.randrange(len(damaged))])])
    found = inherited(kernel.open())
    assert found is None or len(found.pages) <= len(whole.pages)
    assert found is None or sum(records(found)) <= kernel.read_count
