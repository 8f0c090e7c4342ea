"""The task table in the order in which the kernel would have chosen a victim."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from ...model.kill import Kill, TaskRow
from ...model.node import NodeFacts
from .domain import KERNEL_CONSTRAINTS, domain_of
from .formula import ADJ_MIN, formula_of, own_pages

_T = TypeVar("_T")
_NO_COLUMNS: tuple[tuple[Any, ...], ...] = ((),) * len(TaskRow._fields)
_BEYOND_PAGES = 1 << 44
"""More than any machine's memory and swap: 64 PiB of 4-KiB pages."""
_NO_DOMAIN_PAGES = 1000
"""With an oom_score_adj of 0 for all, the domain does not matter."""


class Scored(NamedTuple):
    """One row with its points."""

    row: TaskRow
    adj: int
    """The oom_score_adj that applies: the row's own or the simulated one."""
    points: int | None
    """Pages (before 3.5 thousandths of the domain); None where the kernel never considers the task, and where
    its points are unknown."""
    eligible: bool


class Table:
    """The part of one event that does not depend on the simulated settings."""

    def __init__(self, kill: Kill, node: NodeFacts | None = None) -> None:
        self.rows: Sequence[TaskRow] = tuple(kill.tasks)
        self.formula = formula_of(kill.kernel_release)
        self.domain = domain_of(kill, node)
        # By column: every question needs few of them, and all rows.
        columns: Sequence[tuple[Any, ...]] = tuple(zip(*self.rows, strict=True)) or _NO_COLUMNS
        self._pids, uids, self._tgids, _, rss, pgtables, swapped, adjs, self._comms = columns
        self.pages = own_pages(rss, swapped, pgtables, page_size_bytes=kill.memory.page_size_bytes)
        self.adjs = [adj or 0 for adj in adjs]
        self.roots = [uid == 0 for uid in uids] if self.formula.root_bonus else []
        self.able = _places_but(1, self._tgids)
        """Places of all but init, which the kernel never kills."""

    def places(self, pid: int) -> list[int]:
        """Return the positions of a process: by its own pid or, where a thread represents it, its group's."""
        return _places_of(pid, self._pids) or _places_of(pid, self._tgids)

    def places_named(self, comm: str) -> list[int]:
        """Return the positions of all processes of that name."""
        return _places_of(comm, self._comms)


class Ranking:
    """Every row of the table, highest points first, and the task that the kernel therefore chooses."""

    def __init__(self, table: Table, adj: Mapping[int, int]) -> None:
        self._table = table
        self.formula, self.domain = table.formula, table.domain
        self._adjs = _changed(table.adjs, adj) if adj else table.adjs
        self._total = _NO_DOMAIN_PAGES if self.domain.pages is None else self.domain.pages

    # Computed on first use: a simulated panic does not need the points.

    @cached_property
    def _places(self) -> list[int]:
        """Positions of the eligible tasks."""
        adjs = self._adjs
        if min(adjs, default=0) > ADJ_MIN:
            return self._table.able
        return [place for place in self._table.able if adjs[place] > ADJ_MIN]

    @cached_property
    def _values(self) -> set[int]:
        """Every oom_score_adj that an eligible task has."""
        return set(_of(self._adjs, self._places))

    @cached_property
    def known(self) -> bool:
        """False where points cannot be compared: oom_score_adj differs and the log does not show the domain,
        or a policy outside the kernel chose."""
        return self.domain.constraint in KERNEL_CONSTRAINTS and (
            self.domain.pages is not None or self._values <= {0}
        )

    @cached_property
    def _points(self) -> list[int]:
        return self._score(self._total, root=True) if self.known else []

    def _score(self, total_pages: int, *, root: bool) -> list[int]:
        """Return the points of the eligible tasks, in their order."""
        table, places = self._table, self._places
        return self.formula.points(
            _of(table.pages, places),
            _of(self._adjs, places),
            _of(table.roots, places) if root and self.formula.root_bonus else None,
            total_pages=total_pages,
        )

    @cached_property
    def chosen(self) -> Scored | None:
        """None where no task is eligible, or the log does not show enough (`known`)."""
        return self._scored(self._first_place) if self._points else None

    @cached_property
    def _first_place(self) -> int:
        """Position of the chosen task among the eligible."""
        return self._first(self._points)

    @cached_property
    def rivals(self) -> tuple[Scored, ...]:
        """The tasks that would be chosen under other assumptions about what the log does not show:
        capabilities, swap, equal points."""
        points = self._points
        if not points:
            return ()
        first = self._first_place
        others = []
        if points.count(points[first]) > 1:
            others += [at for at, number in enumerate(points) if number == points[first]]
        if self.formula.root_bonus:
            others.append(self._first(self._score(self._total, root=False)))
        if not self.domain.exact and len(self._values) > 1:
            # Points are linear in the domain: a task that leads at both ends leads everywhere between.
            others.append(self._first(self._score(_BEYOND_PAGES, root=True)))
        return tuple(self._scored(at) for at in dict.fromkeys(others) if at != first)

    @cached_property
    def tasks(self) -> tuple[Scored, ...]:
        """Every row: the eligible first, by points, then by size."""
        able: dict[int, int | None] = dict.fromkeys(self._places)
        if self._points:
            able.update(zip(self._places, self._points, strict=True))
        scored = [
            Scored(row, self._adjs[place], able.get(place), place in able)
            for place, row in enumerate(self._table.rows)
        ]
        return tuple(sorted(scored, key=_order, reverse=True))

    @property
    def empty(self) -> bool:
        """The report has no task table."""
        return not self._table.rows

    @property
    def caveats(self) -> tuple[str, ...]:
        """What the log does not show and the ranking depends on, one sentence each."""
        return tuple(self._caveats())

    def _caveats(self) -> Iterator[str]:
        if not self.formula.known:
            yield "The log does not show the kernel version; the rules of the newest kernel are used."
        if any(row.swapents_pages is None for row in self._table.rows):
            yield ("This kernel's table omits swap and page tables, so points are a lower bound.")
        if self.formula.root_bonus:
            yield "Processes of uid 0 are assumed to have CAP_SYS_ADMIN, which lowers their points."
        if len(self._values) > 1 and self.domain.pages is not None and not self.domain.exact:
            yield (
                "oom_score_adj may weigh more than shown: the log does not show all the memory it is "
                "relative to."
            )

    def of(self, place: int) -> Scored:
        """Return the entry of the row at a position of the table."""
        if place in self._places:
            return self._scored(self._places.index(place))
        return Scored(self._table.rows[place], self._adjs[place], None, False)

    def _scored(self, at: int) -> Scored:
        """Return the entry of one of the eligible tasks."""
        place = self._places[at]
        return Scored(
            self._table.rows[place], self._adjs[place], self._points[at] if self._points else None, True
        )

    def _first(self, points: Sequence[int]) -> int:
        """Return the position of the highest points, by the kernel's order among equals."""
        most = max(points)
        if self.formula.last_of_equals:
            return len(points) - 1 - points[::-1].index(most)
        return points.index(most)


def _places_of(value: object, column: Sequence[object]) -> list[int]:
    if value not in column:  # a search without a step of the interpreter for each entry
        return []
    return [place for place, one in enumerate(column) if one == value]


def _places_but(value: object, column: Sequence[object]) -> list[int]:
    if value not in column:
        return list(range(len(column)))
    return [place for place, one in enumerate(column) if one != value]


def _of(column: list[_T], places: Sequence[int]) -> list[_T]:
    """Return the entries at `places`, which are different; all places of most tables are eligible."""
    return column if len(places) == len(column) else [column[place] for place in places]


def _changed(column: list[int], changes: Mapping[int, int]) -> list[int]:
    changed = column.copy()
    for place, value in changes.items():
        changed[place] = value
    return changed


def rank(kill: Kill, *, adj: Mapping[int, int] | None = None, node: NodeFacts | None = None) -> Ranking:
    """Score the table of `kill`. `adj` gives other oom_score_adj values by a row's position in the table."""
    return Ranking(Table(kill, node), adj or {})


def chosen_row(kill: Kill) -> TaskRow | None:
    """Return the row of the task that the kernel chose: before 5.1 not always the one that was killed."""
    pids = [kill.sacrificed_parent_pid, kill.chosen_pid, *(victim.pid for victim in kill.victims)]
    pid = next((pid for pid in pids if pid is not None), None)
    if pid is None:
        return None
    own = next((row for row in kill.tasks if row.pid == pid), None)
    return own or next((row for row in kill.tasks if row.tgid == pid), None)


def _order(task: Scored) -> tuple[bool, int, int]:
    own = task.row.rss_pages + (task.row.swapents_pages or 0)
    return task.eligible, task.points if task.points is not None else -1, own
