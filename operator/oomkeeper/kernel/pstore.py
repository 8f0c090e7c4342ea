"""Read pstore: the last log of a kernel that crashed.

Facts (fs/pstore/platform.c pstore_dump(), fs/pstore/inode.c pstore_mkfile()): a record is a file
`dmesg-<backend>-<id>` with the heading `Panic#1 Part1`; a log that does not fit into one record of the
backend is written from its end, so Part1 is the newest text and each further part is older. Every line has
its `<priority>` as in syslog(2), so text that a process wrote keeps its facility. ERST
(drivers/acpi/apei/erst.c) and EFI (drivers/firmware/efi/efi-pstore.c) write many parts, ramoops
(fs/pstore/ram.c) only the first, and adds a line about its error correction.

systemd-pstore copies the records into folders of its own below /var/lib/systemd/pstore and then unlinks them
(src/pstore/pstore.c); its dmesg.txt there contains the same text again.
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

from .bounded_read import read_start

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 4 << 20
"""More than any backend's record; the rest of a longer file is ignored."""
_ARCHIVE_DEPTH = 3
"""systemd-pstore creates up to two levels of folders."""
_NAME = re.compile(r"dmesg-(?P<backend>[a-z][a-z0-9_-]*?)-(?P<id>\d{1,20})")
_HEADING = re.compile(rb"^(?P<reason>[A-Z][a-z]+)#(?P<count>\d+) Part(?P<part>\d+)[ \t]*\r?\n", re.MULTILINE)
_LINE = re.compile(rb"<\d{1,3}>")
_EFI = frozenset({"efi", "efi_pstore"})


class Part(NamedTuple):
    """One record: a part of a dump."""

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
    """The parts of one dump, joined."""

    identity: str
    """Hash of the newest part's text, which ends with the panic; the same wherever the records are copied."""
    reason: str
    files: tuple[Path, ...]
    """Newest text first."""
    time: float | None
    """Time of writing in seconds since the epoch; None if unknown."""
    text: bytes
    """Lines with their `<priority>`, oldest first."""
    whole: bool
    """False if the newest part, or a part between two others, is missing."""

    def records(self) -> Iterator[LogRecord]:
        """Yield the dump's log records, oldest first."""
        # A MiB of modules that the agent needs only after a panic.
        from .logs.reader import read_records

        return read_records(io.BytesIO(self.text))


class _File(NamedTuple):
    backend: str
    id: int
    path: Path
    live: bool


def record_files(*, pstore: Path, archive: Path | None = None) -> dict[str, Path]:
    """Return name -> path of every record in the file system `pstore` and in systemd's `archive`; pstore's if
    both have it. Empty if neither exists."""
    return {name: file.path for name, file in _files(pstore, archive).items()}


def read_dumps(*, pstore: Path, archive: Path | None = None) -> list[Dump]:
    """Return every dump, oldest first as far as the backends number them. A record that cannot be read is
    logged and skipped."""
    parts: list[tuple[_File, Part]] = []
    for name, file in _files(pstore, archive).items():
        try:
            data = read_start(file.path, max_bytes=MAX_RECORD_BYTES)
        except OSError as error:
            log.warning("pstore record unreadable name=%s problem=%s", name, error)
            continue
        parts += [(file, part) for part in split_parts(data)]
    return [_dump(group) for group in _groups(parts)]


def split_parts(data: bytes) -> list[Part]:
    """Split the text of one or several records into parts. Text without a heading is one part."""
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
    """Return True if a text that begins with `head` is one or several records, or systemd-pstore's dmesg.txt,
    which has the file's name before each part."""
    first, _, rest = head.partition(b"\n")
    if first.startswith(b"dmesg-") and first.endswith(b":"):
        head = rest
    return _HEADING.match(head) is not None


def in_order(data: bytes) -> bytes:
    """Return the text of several records, newest or oldest part first, as one log, oldest line first."""
    dumps: list[list[Part]] = []
    for part in split_parts(data):
        if not dumps or not _goes_on(dumps[-1], part):
            dumps.append([])
        dumps[-1].append(part)
    return b"".join(_joined(parts) for parts in dumps)


def _goes_on(parts: list[Part], part: Part) -> bool:
    """Return True if `part` belongs to the same dump: the numbers of its parts only rise, or only fall."""
    numbers = [*(one.number for one in parts), part.number]
    steps = [after - before for before, after in pairwise(numbers)]
    same = (parts[0].reason, parts[0].serial) == (part.reason, part.serial)
    return same and (all(step > 0 for step in steps) or all(step < 0 for step in steps))


def _joined(parts: Iterable[Part]) -> bytes:
    ordered = sorted(parts, key=lambda part: part.number, reverse=True)
    return b"".join(part.text if part.text.endswith(b"\n") else part.text + b"\n" for part in ordered)


def _lines(text: bytes) -> bytes:
    """Return only the lines of the log: ramoops and systemd-pstore add text of their own."""
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
    """Group the parts of the same dump, each group newest text first."""
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
    """Sort key: time, then part. EFI's id is (seconds * 100 + part) * 1000 + count (efi_pstore_write())."""
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
    """Return the time of writing. pstore has it as mtime; the mtime of a copy is the time of the copying, so
    the time in the id is used if it has one."""
    if not file.live and file.backend in _EFI:
        return file.id // 100_000
    if not file.live and file.backend == "erst":
        # cper_next_record_id(): seconds << 32, from 2038 on 1 << 63 | seconds << 24; then counted up.
        return (file.id & ~(1 << 63)) >> 24 if file.id >> 63 else file.id >> 32
    try:
        return file.path.stat().st_mtime
    except OSError:
        return None
