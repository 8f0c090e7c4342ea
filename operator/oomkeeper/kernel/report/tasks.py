"""The task table, printed with vm.oom_dump_tasks=1 (dump_tasks()), in every layout since 2.6.32.

[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name                  2.6.32 to 3.2
[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name             3.3
[ pid ]   ... rss nr_ptes nr_pmds swapents oom_score_adj name                         4.1
[ pid ]   ... rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name                 4.14
[ pid ]   ... rss pgtables_bytes swapents oom_score_adj name                          4.15 (af5b0f6a09e4)
[  pid  ] ... rss rss_anon rss_file rss_shmem pgtables_bytes swapents ... name        6.8
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import repeat

from ...model.kill import TaskRow
from ..lazy import LazySequence
from .text import readable

_LAYOUTS: dict[bytes, tuple[str, ...]] = {
    names.replace(" ", "").encode(): tuple(names.split())
    for names in (
        "uid tgid total_vm rss cpu oom_adj oom_score_adj name",
        "uid tgid total_vm rss nr_ptes swapents oom_score_adj name",
        "uid tgid total_vm rss nr_ptes nr_pmds swapents oom_score_adj name",
        "uid tgid total_vm rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name",
        "uid tgid total_vm rss pgtables_bytes swapents oom_score_adj name",
        "uid tgid total_vm rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
    )
}
_DEFAULT = _LAYOUTS[b"uidtgidtotal_vmrsspgtables_bytesswapentsoom_score_adjname"]
_MAX_NUMBER = 1 << 64
_MANY_ROWS = 16
"""With fewer rows, compiling a pattern costs more than it saves."""
_TABLES = ("nr_ptes", "nr_pmds", "nr_puds")


def is_title(line: bytes) -> bool:
    """Return True for the line with the names of the columns."""
    return line.startswith((b"[ pid ]", b"[  pid  ]"))


def columns_of(title: bytes, body: Sequence[bytes]) -> tuple[str, ...] | None:
    """Return the columns after `[ pid ]`, or None if the title is truncated and does not show which layout
    the table has. Blanks are ignored: a mail program may have broken a word."""
    names = b"".join(title[title.index(b"]") + 1 :].split())
    if (layout := _LAYOUTS.get(names)) is not None:
        return layout
    shown = names.rstrip(b".").removesuffix(b"\xe2\x80\xa6")
    fits = [columns for known, columns in _LAYOUTS.items() if known.startswith(shown)]
    if not fits:
        return _DEFAULT
    if len(fits) > 1:
        sizes = {len(text.partition(b"]")[2].split()) for _, text in rows_of(body[:_MANY_ROWS])}
        fits = [columns for columns in fits if len(columns) in sizes]
    return fits[0] if len(fits) == 1 else None


def rows_of(body: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield (pid as printed, text) of every line that begins as a row does."""
    for text in body:
        if text[:1] == b"[":
            yield text[1:].partition(b"]")[0].strip(), text


class TaskTable(LazySequence[TaskRow]):
    """The rows of one table, parsed at first use: most kills are published without it, and raw text is
    smaller than its records."""

    __slots__ = ("_body", "_columns", "_page_size_bytes")

    def __init__(self, body: list[bytes], columns: Sequence[str], *, page_size_bytes: int) -> None:
        """Take the body of the table's section, including lines that are not rows."""
        super().__init__()
        self._body = body
        self._columns = columns
        self._page_size_bytes = page_size_bytes

    def _load(self) -> Iterable[TaskRow]:
        rows = [text for text in self._body if text[:1] == b"["]
        self._body = []
        return parse_rows(rows, self._columns, page_size_bytes=self._page_size_bytes)


@cache
def _plain_rows(columns: int) -> re.Pattern[str]:
    """Return the pattern of complete rows with so many columns, no number beyond 64 bits."""
    # Possessive: a quarter faster, and no blank or digit can belong to what follows.
    numbers = r" ++(-?\d{1,19}+)" * (columns - 1)
    return re.compile(r"^\[ *+(\d{1,19}+)\]" + numbers + r" (.*+)$", re.MULTILINE | re.ASCII)


def parse_rows(rows: Sequence[bytes], columns: Sequence[str], *, page_size_bytes: int) -> Iterable[TaskRow]:
    """Parse rows `[  pid]  ...`; skip lines that are cut or not rows."""
    text = b"\n".join(rows)
    if text.count(b"\n") + 1 == len(rows) >= _MANY_ROWS:
        # As text, whose digits int() reads faster.
        found = _plain_rows(len(columns)).findall(readable(text))
        if len(found) == len(rows):
            return _read_columns(found, columns, page_size_bytes=page_size_bytes)
    return _read_singly(rows, columns, page_size_bytes=page_size_bytes)


def _read_columns(
    found: Sequence[tuple[str, ...]], columns: Sequence[str], *, page_size_bytes: int
) -> Iterable[TaskRow]:
    """Return the same as `_read_singly`, column by column."""
    pids, *texts, comms = zip(*found, strict=True)
    values = {name: list(map(int, column)) for name, column in zip(columns, texts, strict=False)}
    pgtables: Iterable[int | None] = repeat(None)
    if "pgtables_bytes" in values:
        pgtables = values["pgtables_bytes"]
    elif tables := [values[name] for name in _TABLES if name in values]:
        pgtables = [sum(counts) * page_size_bytes for counts in zip(*tables, strict=True)]
    return map(
        partial(tuple.__new__, TaskRow),  # what _make() does, without a call
        zip(
            map(int, pids),
            values["uid"],
            values["tgid"],
            values["total_vm"],
            values["rss"],
            pgtables,
            values.get("swapents") or repeat(None),
            values["oom_score_adj"],
            comms,
            strict=False,
        ),
    )


def _read_singly(rows: Sequence[bytes], columns: Sequence[str], *, page_size_bytes: int) -> Iterator[TaskRow]:
    index = {name: at for at, name in enumerate(columns)}
    numbers = len(columns) - 1
    uid, tgid, total_vm, rss = index["uid"], index["tgid"], index["total_vm"], index["rss"]
    adj = index["oom_score_adj"]
    pgtables, swap = index.get("pgtables_bytes"), index.get("swapents")
    tables = [index[name] for name in _TABLES if name in index]
    for row in rows:
        pid_text, closing, rest = row.partition(b"]")
        parts = rest.split(None, numbers - 1)
        if not closing or len(parts) < numbers:
            continue
        # One blank stands before the name, which may itself begin with white space.
        parts[-1], _, comm = parts[-1].partition(b" ")
        try:
            pid = int(pid_text[1:])
            values = list(map(int, parts))
        except ValueError:
            continue
        if max(values) >= _MAX_NUMBER or pid >= _MAX_NUMBER:
            continue
        if pgtables is not None:
            pgtables_bytes: int | None = values[pgtables]
        else:
            pgtables_bytes = sum(values[at] for at in tables) * page_size_bytes if tables else None
        yield TaskRow(
            pid,
            values[uid],
            values[tgid],
            values[total_vm],
            values[rss],
            pgtables_bytes,
            values[swap] if swap is not None else None,
            values[adj],
            readable(comm),
        )
