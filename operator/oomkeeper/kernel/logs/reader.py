"""Read every record of a log, in order.

    with open_log("messages.1.gz") as stream:
        for record in read_records(stream, counts=counts):
            ...

`oom_search.relevant.read_relevant_records` does the same for large logs and leaves out what is not near an
OOM report.
"""

from collections.abc import Iterator

from oomkeeper.model.log import LogRecord

from .assembler import Assembler
from .counts import LogCounts
from .line_blocks import BLOCK_BYTES, ByteStream, LineBlocks
from .tolerant.reading import TolerantReading


def read_records(
    stream: ByteStream, *, counts: LogCounts | None = None, tolerant: TolerantReading | None = None
) -> Iterator[LogRecord]:
    """Yield all records of `stream`, the kernel's (`kernel=True`) and others'. Reads strictly unless
    `tolerant` is given, which is for files that a person hands in.

    Takes time linear in the size of the stream, and bounded memory. Raises what reading the stream raises
    (`LogUnreadableError` for a stream from `open_log`); no content raises an error.
    """
    counts = LogCounts() if counts is None else counts
    assembler = Assembler(counts, tolerant=tolerant)
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
