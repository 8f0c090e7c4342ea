"""Every record of a log, in order."""

from collections.abc import Iterator

from oomkeeper.model.log import Logged, LogRecord, singly

from .assemble import Assembler
from .blocks import BLOCK_BYTES, ByteStream, LineBlocks
from .counts import LogCounts


def read_records(stream: ByteStream, *, counts: LogCounts | None = None) -> Iterator[LogRecord]:
    """All records of `stream`, the kernel's (`kernel=True`) and others', in time linear in its size and in
    bounded memory.

    Raises what reading the stream raises (`LogUnreadableError` for one from `open_log`), and nothing for any
    content.
    """
    return singly(read_log(stream, counts=counts))


def read_log(stream: ByteStream, *, counts: LogCounts | None = None) -> Iterator[Logged]:
    """The same records, the plain ones many at once: for `parse_records`, which is the quicker for it."""
    counts = LogCounts() if counts is None else counts
    assembler = Assembler(counts)
    lines = LineBlocks(counts)
    read = getattr(stream, "read1", None) or stream.read
    while data := read(BLOCK_BYTES):
        counts.lines += data.count(b"\n")
        if (block := lines.push(data)) is not None:
            yield from assembler.feed(block)
    if rest := lines.rest():
        counts.lines += 1
        yield from assembler.feed(rest + b"\n")
    yield from assembler.finish()
