"""pstore's records as an input of `explain`: one file or several, a folder of them, or their text in a pipe.

The kernel writes a dump from its end, so the parts' order is not the log's.
"""

import io
from collections.abc import Iterator
from pathlib import Path

from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.logs.signs import Sign
from oomkeeper.kernel.pstore import in_order, is_dump, read_dumps, record_files
from oomkeeper.model.kill import Kill
from oomkeeper.model.log import LogRecord

from .errors import BadInput
from .explain_input import TextInput

MAX_BYTES = 64 << 20
"""More than a node's whole pstore; anything longer is not a dump, whatever its first line is."""


class PstoreLog:
    """Every dump of a folder, such as /sys/fs/pstore or systemd's archive."""

    error: str | None = None
    excerpt = False

    def __init__(self, folder: str) -> None:
        self.what = folder
        self.counts = LogCounts()
        if not record_files(pstore=Path(folder), archive=Path(folder)):
            raise BadInput(f"{folder}: Is a directory without pstore records (dmesg-*)")

    def records(self) -> Iterator[LogRecord]:
        for dump in read_dumps(pstore=Path(self.what), archive=Path(self.what)):
            yield from read_records(io.BytesIO(dump.text), counts=self.counts)

    def signs(self) -> list[Sign]:
        return []

    def dated(self, kill: Kill) -> Kill:
        return kill

    def found(self) -> None:
        return


class PartsLog(PstoreLog):
    """Several files, each a record: the parts of one dump, or of several."""

    def __init__(self, names: list[str]) -> None:
        self.what = ", ".join(names)
        self.counts = LogCounts()
        self._data = b"".join(self._read(name) for name in sorted(names, key=lambda name: Path(name).name))

    def _read(self, name: str) -> bytes:
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise BadInput(f"{name}: {error.strerror or error}") from error
        if not is_dump(data[:200]):
            raise BadInput(
                f"{name}: is not a pstore record; several files are explained together only if each "
                "is one (first line: Panic#1 Part1). Name one log, or: cat FILES | oomkeeper explain -"
            )
        return data if data.endswith(b"\n") else data + b"\n"

    def records(self) -> Iterator[LogRecord]:
        yield from read_records(io.BytesIO(in_order(self._data)), counts=self.counts)


def in_log_order(stream: TextInput) -> TextInput | io.BytesIO:
    """Return the stream; if its first line is a dump's heading, its parts in log order."""
    if not is_dump(stream.head):
        return stream
    data = b""
    while len(data) < MAX_BYTES and (more := stream.read()):
        data += more
    return io.BytesIO(in_order(data))
