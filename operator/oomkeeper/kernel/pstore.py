"""pstore: what a kernel left behind when it died, as whole logs.

Facts (fs/pstore/platform.c pstore_dump(), fs/pstore/inode.c pstore_mkfile()): a record is a file
`dmesg-<backend>-<id>`, headed `Panic#1 Part1`; a log that does not fit into one record of the backend is
written from its end, so Part1 is the newest text and each further part what came before it. Every line has
its `<priority>` as syslog(2) gives it, so text that a process wrote keeps its facility. ERST
(drivers/acpi/apei/erst.c) and EFI (drivers/firmware/efi/efi-pstore.c) write many parts, ramoops
(fs/pstore/ram.c) the first only, and adds a line on its error correction.

systemd-pstore copies the records into folders of its own below /var/lib/systemd/pstore and then unlinks them
(src/pstore/pstore.c); its dmesg.txt there is the same text once more.
"""

import io
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from oomkeeper.model.log import LogRecord

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 4 << 20
"""More than any backend's record; of a longer file the rest is left out."""
_ARCHIVE_DEPTH = 3
"""systemd-pstore makes up to two levels of folders."""
_NAME = re.compile(r"dmesg-(?P<backend>[a-z][a-z0-9_-]*?)-(?P<id>\d{1,20})")
_HEADING = re.compile(rb"^(?P<reason>[A-Z][a-z]+)#(?P<count>\d+) Part(?P<part>\d+)[ \t]*\r?\n", re.MULTILINE)
_LINE = re.compile(rb"<\d{1,3}>")
_EFI = frozenset({"efi", "efi_pstore"})


class Part(NamedTuple):
    """One record: a piece of a dump."""

    reason: str
    """Why the kernel dumped: `Panic`, `Oops`, `Emergency`."""
    serial: int
    """Running number of the dump within its boot."""
    number: int
    """1 is the newest text."""
    text: bytes
    """Lines with their `<priority>`, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The parts of one dump, put together."""

    identity: str
    """The same wherever the records are copied to: made of the newest part's text, which ends with the
    panic."""
    reason: str
    files: tuple[Path, ...]
    """Newest text first."""
    time: float | None
    """When it was written, in seconds since the epoch; None where nothing tells."""
    text: bytes
    """Lines with their `<priority>`, oldest first."""
    whole: bool
    """False where a part between two others, or the newest, is missing."""

    def records(self) -> Iterator[LogRecord]:
        """The dump's log records, oldest first."""
        # A MiB of modules that an agent needs only after a panic.
        from .logs import read_records

        return read_records(io.BytesIO(self.text))


class _File(NamedTuple):
    backend: str
    id: int
    path: Path
    live: bool


def record_files(*, pstore: Path, archive: Path | None = None) -> dict[str, Path]:
    """Name -> path of every dump's record in the file system `pstore` and in systemd's `archive`; where both
    have it, pstore's. Empty where neither is there."""
    return {name: file.path for name, file in _files(pstore, archive).items()}


def read_dumps(*, pstore: Path, archive: Path | None = None) -> list[Dump]:
    """Every dump that is there, oldest first as far as the backends number them. A record that cannot be read
    is logged and passed over."""
    parts: list[tuple[_File, Part]] = []
    for name, file in _files(pstore, archive).items():
        try:
            with file.path.open("rb") as stream:
                data = stream.read(MAX_RECORD_BYTES)
        except OSError as error:
            log.warning("pstore record unreadable name=%s problem=%s", name, error)
            continue
        parts += [(file, part) for part in split_parts(data)]
    return [_dump(group) for group in _groups(parts)]


def split_parts(data: bytes) -> list[Part]:
    """The parts that a record's text, or several records' one after the other, consists of. What has no
    heading is one part."""
    headings = list(_HEADING.finditer(data))
    if not headings:
        return [Part("Panic", 0, 1, _lines(data))]
    ends = [heading.start() for heading in headings[1:]] + [len(data)]
    return [
        Part(
            heading["reason"].decode(),
            int(heading["count"]),
            int(heading["part"]),
            _lines(data[heading.end() : end]),
        )
        for heading, end in zip(headings, ends, strict=True)
    ]


def is_dump(head: bytes) -> bool:
    """Whether a text that begins so is a record, several of them, or systemd-pstore's dmesg.txt, which has
    the file's name before each part."""
    first, _, rest = head.partition(b"\n")
    if first.startswith(b"dmesg-") and first.endswith(b":"):
        head = rest
    return _HEADING.match(head) is not None


def in_order(data: bytes) -> bytes:
    """Several records' text, newest or oldest part first, as one log, oldest line first."""
    dumps: list[list[Part]] = []
    for part in split_parts(data):
        if not dumps or not _goes_on(dumps[-1], part):
            dumps.append([])
        dumps[-1].append(part)
    return b"".join(_joined(parts) for parts in dumps)


def _goes_on(parts: list[Part], part: Part) -> bool:
    """A dump's parts are numbered up, or down; where that ends another dump begins."""
    numbers = [*(one.number for one in parts), part.number]
    steps = [after - before for before, after in pairwise(numbers)]
    same = (parts[0].reason, parts[0].serial) == (part.reason, part.serial)
    return same and (all(step > 0 for step in steps) or all(step < 0 for step in steps))


def _joined(parts: Iterable[Part]) -> bytes:
    ordered = sorted(parts, key=lambda part: part.number, reverse=True)
    return b"".join(part.text if part.text.endswith(b"\n") else part.text + b"\n" for part in ordered)


def _lines(text: bytes) -> bytes:
    """The log's lines alone: ramoops and systemd-pstore put words of their own between."""
    return b"".join(line for line in text.splitlines(keepends=True) if _LINE.match(line))


def _files(pstore: Path, archive: Path | None) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for folder, live in ((pstore, True), (archive, False)):
        if folder is None:
            continue
        for path in _walk(folder, depth=1 if live else _ARCHIVE_DEPTH):
            name = _NAME.fullmatch(path.name)
            if name is not None:
                found.setdefault(path.name, _File(name["backend"], int(name["id"]), path, live))
    return found


def _walk(folder: Path, *, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return  # not mounted, or no systemd here
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            if depth > 1:
                yield from _walk(entry, depth=depth - 1)
        else:
            yield entry


def _groups(parts: list[tuple[_File, Part]]) -> list[list[tuple[_File, Part]]]:
    """Parts of the same dump together, each group newest text first."""
    groups: list[list[tuple[_File, Part]]] = []
    for file, part in sorted(parts, key=lambda found: _order(*found)):
        if groups and _follows(groups[-1][-1], file, part):
            groups[-1].append((file, part))
        else:
            groups.append([(file, part)])
    return groups


def _follows(last: tuple[_File, Part], file: _File, part: Part) -> bool:
    before, newer = last
    if before.backend != file.backend or (newer.reason, newer.serial) != (part.reason, part.serial):
        return False
    if file.backend in _EFI and _order(before, newer)[:3] != _order(file, part)[:3]:
        return False
    return file.backend != "ramoops" and part.number > newer.number


def _order(file: _File, part: Part) -> tuple[str, int, int, int]:
    """By time, then by part. EFI's id is (seconds * 100 + part) * 1000 + count (efi_pstore_write())."""
    if file.backend in _EFI:
        return (file.backend, file.id // 100_000, file.id % 1000, part.number)
    return (file.backend, file.id, 0, part.number)


def _dump(group: list[tuple[_File, Part]]) -> Dump:
    parts = [part for _, part in group]
    return Dump(
        identity=sha256(parts[0].text).hexdigest()[:16],
        reason=parts[0].reason,
        files=tuple(file.path for file, _ in group),
        time=_written(group[0][0]),
        text=_joined(parts),
        whole=[part.number for part in parts] == list(range(1, len(parts) + 1)),
    )


def _written(file: _File) -> float | None:
    """pstore gives the record's own time as mtime; a copy's is that of the copying, so the id tells, where it
    holds a time."""
    if not file.live and file.backend in _EFI:
        return file.id // 100_000
    if not file.live and file.backend == "erst":
        # cper_next_record_id(): seconds << 32, from 2038 on 1 << 63 | seconds << 24; then counted up.
        return (file.id & ~(1 << 63)) >> 24 if file.id >> 63 else file.id >> 32
    try:
        return file.path.stat().st_mtime
    except OSError:
        return None
