"""The table of tasks that vm.oom_dump_tasks=1 asks for (dump_tasks()), in every layout since 2.6.32.

[ pid ]   uid  tgid total_vm      rss cpu oom_adj oom_score_adj name                  2.6.32 to 3.2
[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name             3.3
[ pid ]   ... rss nr_ptes nr_pmds swapents oom_score_adj name                         4.1
[ pid ]   ... rss nr_ptes nr_pmds nr_puds swapents oom_score_adj name                 4.14
[ pid ]   ... rss pgtables_bytes swapents oom_score_adj name                          4.15 (af5b0f6a09e4)
[  pid  ] ... rss rss_anon rss_file rss_shmem pgtables_bytes swapents ... name        6.8
"""

from collections.abc import Iterator, Sequence
from typing import overload

from ...model.kill import TaskRow
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
_TABLES = ("nr_ptes", "nr_pmds", "nr_puds")


def is_title(line: bytes) -> bool:
    """True for the line with the names of the columns."""
    return line.startswith((b"[ pid ]", b"[  pid  ]"))


def columns_of(title: bytes) -> tuple[str, ...]:
    """The columns between `[ pid ]` and the row's end. Blanks do not count: a mail program may have broken a
    word."""
    names = b"".join(title[title.index(b"]") + 1 :].split())
    return _LAYOUTS.get(names, _DEFAULT)


class TaskTable(Sequence[TaskRow]):
    """The rows of one table, read when first looked at: most kills are published without anybody asking, and
    a table of raw text is smaller than its records."""

    def __init__(self, rows: list[bytes], columns: Sequence[str], *, page_size_bytes: int) -> None:
        self._raw = rows
        self._columns = columns
        self._page_size_bytes = page_size_bytes
        self._rows: tuple[TaskRow, ...] | None = None

    def _read(self) -> tuple[TaskRow, ...]:
        if self._rows is None:
            found = parse_rows(self._raw, self._columns, page_size_bytes=self._page_size_bytes)
            self._rows = tuple(found)
            self._raw = []
        return self._rows

    @overload
    def __getitem__(self, index: int) -> TaskRow: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[TaskRow]: ...

    def __getitem__(self, index: int | slice) -> TaskRow | Sequence[TaskRow]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Iterator[TaskRow]:
        return iter(self._read())

    def __bool__(self) -> bool:
        return bool(self._raw or self._rows) and bool(self._read())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._read() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return f"TaskTable({list(self._read())!r})"


def parse_rows(rows: Sequence[bytes], columns: Sequence[str], *, page_size_bytes: int) -> Iterator[TaskRow]:
    """Read rows `[  pid]  ...`; one that is cut or is none is passed over."""
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
