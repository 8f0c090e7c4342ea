"""The task table in the order in which the kernel would have killed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...model.kill import Kill, TaskRow
from ...model.node import NodeFacts
from .domain import KERNEL_CONSTRAINTS, Domain, domain_of
from .formula import ADJ_MIN, Formula, formula_of

_BEYOND_PAGES = 1 << 44
"""More than any machine's memory and swap: 64 PiB of 4-KiB pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One row with its points."""

    row: TaskRow
    adj: int
    """oom_score_adj that counts: the row's own or the one asked about."""
    points: int | None
    """Pages (before 3.5 thousandths of the domain); None where the kernel never considers the task, and
    where its points are not known."""
    eligible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Every row of the table, highest points first, and whom that makes the kernel choose."""

    formula: Formula
    domain: Domain
    tasks: tuple[Scored, ...]
    chosen: Scored | None
    """None where nobody is eligible, or the log does not tell enough (`known`)."""
    rivals: tuple[Scored, ...]
    """Who would be chosen if what the log does not tell were otherwise: capabilities, swap, equal points."""
    caveats: tuple[str, ...]
    """What the log does not tell and the ranking rests on, one sentence each."""
    known: bool
    """False where points cannot be compared: different oom_score_adj, and a domain that the log does not
    print; or somebody else's policy chose."""

    def of(self, row: TaskRow) -> Scored:
        """A row's entry."""
        return next(task for task in self.tasks if task.row is row)


def rank(kill: Kill, *, adj: Mapping[int, int] | None = None, node: NodeFacts | None = None) -> Ranking:
    """Score the table of `kill`. `adj` gives other oom_score_adj values by a row's place in the table."""
    formula, domain = formula_of(kill.kernel_release), domain_of(kill, node)
    asked = adj or {}
    rows = list(kill.tasks)
    adjs = [asked.get(place, row.oom_score_adj or 0) for place, row in enumerate(rows)]
    eligible = [row.tgid != 1 and value > ADJ_MIN for row, value in zip(rows, adjs, strict=True)]
    values = {value for value, able in zip(adjs, eligible, strict=True) if able}
    known = domain.constraint in KERNEL_CONSTRAINTS and (domain.pages is not None or values <= {0})

    def score(total_pages: int, *, root: bool) -> list[int | None]:
        return [
            formula.points(
                row,
                adj=value,
                total_pages=total_pages,
                page_size_bytes=kill.memory.page_size_bytes,
                root=root and row.uid == 0,
            )
            if able
            else None
            for row, value, able in zip(rows, adjs, eligible, strict=True)
        ]

    # With one oom_score_adj for all, the domain decides nothing but the thousandths of old kernels.
    total = domain.pages if domain.pages is not None else 1000
    points: Sequence[int | None] = score(total, root=True) if known else [None] * len(rows)
    tasks = [
        Scored(row=row, adj=value, points=number, eligible=able)
        for row, value, number, able in zip(rows, adjs, points, eligible, strict=True)
    ]
    chosen = _first(formula, points)
    rivals: list[int] = []
    if chosen is not None:
        others = [_equals(points, chosen)]
        if formula.root_bonus:
            others.append(_winners(score(total, root=False), formula))
        if not domain.exact and len(values) > 1:
            # Points are linear in the domain: whoever leads at both ends leads all the way between.
            others.append(_winners(score(_BEYOND_PAGES, root=True), formula))
        rivals = [place for places in others for place in places if place != chosen]
    return Ranking(
        formula=formula,
        domain=domain,
        tasks=tuple(sorted(tasks, key=_order, reverse=True)),
        chosen=None if chosen is None else tasks[chosen],
        rivals=tuple(tasks[place] for place in dict.fromkeys(rivals)),
        caveats=tuple(_caveats(kill, formula, domain, differ=len(values) > 1)),
        known=known,
    )


def _caveats(kill: Kill, formula: Formula, domain: Domain, *, differ: bool) -> Iterator[str]:
    if not formula.known:
        yield "The log does not name its kernel: the newest one's rules are taken."
    if any(row.swapents_pages is None for row in kill.tasks):
        yield "This kernel's table leaves out swap and page tables, so points are the least there can be."
    if formula.root_bonus:
        yield "Processes of uid 0 are taken to hold CAP_SYS_ADMIN, which lowers their points on this kernel."
    if differ and domain.pages is not None and not domain.exact:
        yield "oom_score_adj may weigh more than shown: the log does not print all the memory it counts in."


def chosen_row(kill: Kill) -> TaskRow | None:
    """The row of the task that the kernel chose: before 5.1 not always the one that died."""
    pids = [kill.sacrificed_parent_pid, kill.chosen_pid, *(victim.pid for victim in kill.victims)]
    pid = next((pid for pid in pids if pid is not None), None)
    return None if pid is None else row_of(kill.tasks, pid)


def row_of(rows: Sequence[TaskRow], pid: int) -> TaskRow | None:
    """The row of a process, by its own pid or, for a thread that stands in for it, its group's."""
    found = next((row for row in rows if row.pid == pid), None)
    return found or next((row for row in rows if row.tgid == pid), None)


def _order(task: Scored) -> tuple[bool, int, int]:
    return task.eligible, task.points or 0, task.row.rss_pages + (task.row.swapents_pages or 0)


def _first(formula: Formula, points: Sequence[int | None]) -> int | None:
    """The place of the winner, by the kernel's order among equals."""
    best: int | None = None
    for place, number in enumerate(points):
        if number is None:
            continue
        leader = None if best is None else points[best]
        if leader is None or number > leader or (number == leader and formula.last_of_equals):
            best = place
    return best


def _equals(points: Sequence[int | None], chosen: int) -> list[int]:
    return [place for place, number in enumerate(points) if number == points[chosen]]


def _winners(points: Sequence[int | None], formula: Formula) -> list[int]:
    first = _first(formula, points)
    return [] if first is None else [first]
