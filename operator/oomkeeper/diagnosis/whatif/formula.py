"""oom_badness() (mm/oom_kill.c) of each kernel version.

2.6.36  a63d83f427fb  points are thousandths of the domain; CAP_SYS_ADMIN takes 30 off
3.5     a7f638f999ff  points are pages, oom_score_adj counts totalpages/1000 each
3.14    778c14affaf9  CAP_SYS_ADMIN takes off 3 % of the points, not of the domain
3.14    d49ad9355420  of equal points the first group leader found is chosen, explicitly
4.15    af5b0f6a09e4  page tables in bytes, every level counted
4.17    d46078b28889  no bonus for CAP_SYS_ADMIN any more
5.1     bbbe48029720  the task itself is killed, not a child of it
5.3     f168a9a54ec3  of equal points the last one is chosen
5.9     9066e5cfb73c  points below zero count; before, an eligible task had at least 1
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from oomkeeper.kernel.lazy import lazy

ADJ_MIN = -1000
"""OOM_SCORE_ADJ_MIN (include/uapi/linux/oom.h): never killed."""
_RELEASE = lazy(r"(\d{1,4})\.(\d{1,4})")
_NEWEST = (9999, 0)


class Formula(NamedTuple):
    """The rules of one kernel."""

    release: tuple[int, int]
    known: bool
    """False where the log does not show the kernel version: the newest rules apply."""

    @property
    def in_thousandths(self) -> bool:
        """Points are thousandths of the domain instead of pages."""
        return self.release < (3, 5)

    @property
    def root_bonus(self) -> bool:
        """CAP_SYS_ADMIN lowers the points."""
        return self.release < (4, 17)

    @property
    def last_of_equals(self) -> bool:
        """Among equal points the last in the table is chosen, else the first."""
        return self.release >= (5, 3)

    @property
    def below_zero(self) -> bool:
        """Points may be negative."""
        return self.release >= (5, 9)

    def points(
        self, pages: Sequence[int], adjs: Sequence[int], roots: Sequence[bool] | None, *, total_pages: int
    ) -> list[int]:
        """Return the points of each task. `pages` are its own (`own_pages`), `adjs` its oom_score_adj,
        `roots` which are assumed to have CAP_SYS_ADMIN, which the table does not show; None for none."""
        unit = total_pages // 1000
        if self.below_zero:
            return [own + adj * unit for own, adj in zip(pages, adjs, strict=True)]
        bonus = roots if roots is not None and self.root_bonus else [False] * len(pages)
        if self.in_thousandths:
            whole = max(1, total_pages)
            return [
                max(1, own * 1000 // whole + adj - 30 * root)
                for own, adj, root in zip(pages, adjs, bonus, strict=True)
            ]
        if self.release < (3, 14):
            return [
                max(1, own + (adj - 30 * root) * unit)
                for own, adj, root in zip(pages, adjs, bonus, strict=True)
            ]
        return [
            max(1, own - own * 3 // 100 * root + adj * unit)
            for own, adj, root in zip(pages, adjs, bonus, strict=True)
        ]


def formula_of(kernel_release: str | None) -> Formula:
    """Return the rules of a release as uname prints it; the newest where it is unknown. Backports of
    distributions into older releases are not visible."""
    match = _RELEASE.match(kernel_release or "")
    if match is None:
        return Formula(_NEWEST, known=False)
    return Formula((int(match[1]), int(match[2])), known=True)


def own_pages(
    rss_pages: Iterable[int],
    swapped_pages: Iterable[int | None],
    pgtables_bytes: Iterable[int | None],
    *,
    page_size_bytes: int,
) -> list[int]:
    """Return resident, swapped and page-table pages of each task, from the columns of the table."""
    return [
        rss + (swapped or 0) + (tables or 0) // page_size_bytes
        for rss, swapped, tables in zip(rss_pages, swapped_pages, pgtables_bytes, strict=True)
    ]
