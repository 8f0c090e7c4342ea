"""Turn the records of one event into a `Kill`."""

from collections.abc import Sequence

from ...model.cause import Scope
from ...model.kill import Kill, TaskRow, Victim
from ...model.memory import Counter, MemoryFacts, SlabCache
from ..lazy import lazy
from . import memcg, slab, tasks
from .cgroup_lines import parse_group, parse_limit_reached, parse_task_in
from .event import Draft, Section
from .header import Header, invoker_of, parse_cpu_line, parse_cpuset, parse_header
from .killline import parse_chosen, parse_killed, parse_named_pid, parse_reaped
from .kinds import Kind
from .oomkill import Summary, parse_summary
from .scope import Marks, scope_of
from .showmem import ShowMem

_PAGE_SIZES = (4096, 16384, 65536)
_PREAMBLE_LINES = 12
_OTHER_OUTCOMES = frozenset((Kind.EXITING, Kind.NO_KILLABLE, Kind.PANIC))
_MEMORY_LINE = lazy(
    rb"\s*(?:Node \d|(?:active_|inactive_)?(?:anon|file):\d|free:\d|slab_|unevictable:|mapped:|"
    rb"DMA(?:32)?[ :]|Normal[ :]|HighMem[ :]|Movable[ :]|lowmem_reserve|(?:Free|Total) swap|\d+ pages )"
)


class _Report:
    """The facts in the sections of a report."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.invoker_pid: int | None = None
        self.release: str | None = None
        self.cpuset: tuple[str, str] | None = None
        self.summary: Summary | None = None
        self.task_in: tuple[str, str | None] | None = None
        self.limit_reached: str | None = None
        self.chosen: tuple[int, str] | None = None
        self.counters: dict[str, Counter] = {}
        self.stats_path: str | None = None
        self.stats_of_any = False
        """The statistics are one line, of the cgroup at its limit or of a descendant."""
        self.stats: dict[str, int] = {}
        self.child_stats: dict[str, dict[str, int]] = {}
        self.show_mem = ShowMem()
        self.slabs: list[SlabCache] = []
        self.columns: tuple[str, ...] | None = None
        self.rows: list[bytes] = []
        """The body of the task table, including lines that are not rows."""
        self.marks = Marks()

    def read(self, sections: list[Section]) -> None:
        """Read the sections in one pass; a line is parsed only by the reader of its section."""
        for kind, opener, body in sections:
            if kind is Kind.CONTEXT:
                self._context(opener, body)
            elif kind is Kind.HEADER:
                self.header = self.header or parse_header(opener)
                self._preamble(body)
            elif kind is Kind.OOM_KILL:
                self.summary = self.summary or parse_summary(opener)
            elif kind is Kind.TASK_IN:
                self.task_in = self.task_in or parse_task_in(opener)
            elif kind is Kind.LIMIT_REACHED:
                self.limit_reached = self.limit_reached or parse_limit_reached(opener)
            elif kind is Kind.CHOSEN:
                self.chosen = parse_chosen(opener) or self.chosen
                self.marks.verdict_line(opener)
        if not (self.show_mem.counts_pages or self.counters or self.stats_path):
            self._untitled(sections)

    def _preamble(self, body: list[bytes]) -> None:
        """Read the lines between the header and the first table: dump_stack(), and the cpuset before 5.0."""
        whole = b"\n".join(body)
        has_cpuset = b" mems_allowed=" in whole
        for text in body[:_PREAMBLE_LINES]:
            if text[:4] in (b"CPU:", b"Pid:"):
                found = parse_cpu_line(text)
                if found is not None and self.invoker_pid is None:
                    self.invoker_pid, self.release = found
                    if not has_cpuset:
                        break
            elif self.cpuset is None and b" mems_allowed=" in text:
                self.cpuset = parse_cpuset(text)
        self.marks.stack(whole)

    def _context(self, opener: bytes, body: list[bytes]) -> None:
        if opener.startswith(b"["):
            if self.columns is None:
                self.columns = tasks.columns_of(opener, body)
                self.rows = body
        elif opener.startswith(b"Memory cgroup stats for "):
            self._stats(opener, body)
        elif opener.startswith(b"Mem-Info:"):
            if not self.show_mem.counts_pages:
                self._mem_info(opener, body)
        elif opener.startswith(b"Unreclaimable slab info:"):
            self.marks.slab_table = True
            self.slabs = self.slabs or [
                row for text in body if (row := slab.parse_slab_row(text)) is not None
            ]
        else:
            found = memcg.parse_counter(opener)
            if found is not None:
                self.counters.setdefault(*found)

    def _mem_info(self, opener: bytes, body: list[bytes]) -> None:
        take = self.show_mem.take
        _, newline, rest = opener.partition(b"\n")
        for text in [rest, *body] if newline else body:
            if text[:12] == b"active_anon:" and take(text):
                continue  # all its lines in one call
            for line in text.split(b"\n"):
                take(line)

    def _untitled(self, sections: list[Section]) -> None:
        """Read show_mem()'s dump if its title is missing, as in excerpts."""
        for section in sections:
            for text in section.body:
                if _MEMORY_LINE.match(text) is not None:
                    for line in text.split(b"\n"):
                        self.show_mem.take(line)

    def _stats(self, opener: bytes, body: list[bytes]) -> None:
        found = memcg.parse_line_stats(opener)
        if found is not None:
            if self.stats_path is None:
                self.stats_path, self.stats = found
                self.stats_of_any = True
            else:
                self.child_stats.setdefault(*found)
        elif not self.stats:
            head, _, block = b"\n".join([opener, *body]).partition(b"\n")
            self.stats_path = memcg.parse_block_head(head)
            self.stats = memcg.parse_block_stats(block)


def build(draft: Draft, *, closed: bool) -> Kill:
    """Return the `Kill` that a draft's records describe. `closed=False` for an event that may still grow."""
    report = _Report()
    report.read(draft.sections)
    report.marks.memcg_stack = report.marks.memcg_stack or draft.memcg_trace
    victims, first_killed = _victims(draft)
    summary = report.summary
    after = [text for _, text in draft.after]
    groups = [parse_group(text) for kind, text in draft.after if kind is Kind.GROUP]
    panics = [text for kind, text in draft.after if kind is Kind.PANIC]
    # out_of_memory() panics with "deadlocked on memory" only after it found no killable process.
    no_killable = draft.has(Kind.NO_KILLABLE) or any(
        b"no killable" in text or b"deadlocked on memory" in text for text in panics
    )
    for text in draft.killed[:1] + after:
        report.marks.verdict_line(text)
    oom_memcg, task_memcg = _paths(report)
    # Every task of the group's cgroup is killed, so the victim is in it; it may be in a child.
    task_memcg = task_memcg or next((path for path in groups if path), None)
    chosen_pid, chosen_comm, chosen_uid = _chosen(report, first_killed)
    if closed and not victims and chosen_pid is not None and draft.kinds.isdisjoint(_OTHER_OUTCOMES):
        # The kernel prints its choice right before it kills; the rest of the text is missing.
        victims = (Victim(pid=chosen_pid, comm=chosen_comm or "", uid=chosen_uid),)
    elif not victims and not draft.sections and draft.has(Kind.REAPED):
        reaped = (parse_reaped(text) for kind, text in draft.after if kind is Kind.REAPED)
        victims = tuple({victim.pid: victim for victim in reaped if victim is not None}.values())
    page_size = report.show_mem.page_size_bytes() or _page_size(report, victims)
    scope = _scope(report, oom_memcg)
    return Kill(
        usec=draft.usec,
        wall=draft.wall,
        first_seq=draft.first_seq,
        last_seq=draft.last_seq,
        kill_seqs=tuple(draft.kill_seqs),
        scope=scope,
        header_seen=report.header is not None,
        invoker=invoker_of(report.header, report.invoker_pid) if report.header else None,
        sysrq=report.marks.sysrq
        or (draft.sysrq and scope is not Scope.MEMCG and _may_be_sysrq(report.header)),
        table_seen=report.columns is not None,
        limit_lowered=report.marks.limit_lowered,
        swapoff=report.marks.swapoff,
        no_choice=report.marks.no_choice,
        oops=report.marks.oops,
        kernel_release=report.release,
        constraint=summary.constraint if summary else None,
        nodemask=summary.nodemask if summary else (report.header.nodemask if report.header else None),
        cpuset=summary.cpuset if summary else (report.cpuset[0] if report.cpuset else None),
        mems_allowed=summary.mems_allowed if summary else (report.cpuset[1] if report.cpuset else None),
        oom_memcg=oom_memcg,
        task_memcg=task_memcg,
        chosen_comm=chosen_comm,
        chosen_pid=chosen_pid,
        chosen_uid=chosen_uid,
        victims=victims,
        kill_lines=len(draft.killed),
        already_exiting=_pids(draft, Kind.EXITING),
        reaped=_pids(draft, Kind.REAPED),
        oom_group=groups[0] if groups else None,
        panic=_panic_text(panics),
        no_killable=no_killable,
        sacrificed_parent_pid=_sacrificed(report, first_killed),
        memory=_memory(report, page_size),
        tasks=_tasks(report, page_size),
        complete=_complete(draft, report),
        lost_before=draft.lost_before,
    )


def _may_be_sysrq(header: Header | None) -> bool:
    """Return False for a header with a real allocation order: another OOM event came first."""
    return header is None or header.order is None or header.order < 0


def _victims(draft: Draft) -> tuple[tuple[Victim, ...], Victim | None]:
    victims: dict[int, Victim] = {}
    first: Victim | None = None
    for text in draft.killed:
        victim = parse_killed(text)
        if victim is not None:
            first = first or victim
            victims.setdefault(victim.pid, victim)
    return tuple(victims.values()), first


def _paths(report: _Report) -> tuple[str | None, str | None]:
    if report.summary is not None and (report.summary.oom_memcg is not None or report.summary.global_oom):
        return report.summary.oom_memcg, report.summary.task_memcg
    if report.task_in is not None:
        return report.task_in[1], report.task_in[0]
    if report.stats_of_any and not report.counters:
        # cgroup v1 prints a line of statistics for each descendant, and the text begins among them.
        return report.limit_reached, None
    return report.limit_reached or report.stats_path, None


def _scope(report: _Report, oom_memcg: str | None) -> Scope:
    report.marks.oom_memcg = oom_memcg is not None
    report.marks.global_oom = report.summary is not None and report.summary.global_oom
    report.marks.limit_of_host = report.task_in is not None and report.task_in[1] is None
    report.marks.counters = bool(report.counters) or report.stats_path is not None
    report.marks.mem_info = bool(report.show_mem.counts_pages) or bool(report.show_mem.node_fields_bytes)
    return scope_of(report.marks)


def _chosen(report: _Report, killed: Victim | None) -> tuple[int | None, str | None, int | None]:
    if report.summary is not None and report.summary.pid is not None:
        return report.summary.pid, report.summary.comm, report.summary.uid
    if report.chosen is not None:
        return report.chosen[0], report.chosen[1], None
    return (killed.pid, killed.comm, killed.uid) if killed else (None, None, None)


def _sacrificed(report: _Report, killed: Victim | None) -> int | None:
    if report.chosen is None or killed is None or report.chosen[0] == killed.pid:
        return None
    return report.chosen[0]


def _pids(draft: Draft, kind: Kind) -> tuple[int, ...]:
    if not draft.has(kind):
        return ()
    pids = (parse_named_pid(text) for seen, text in draft.after if seen is kind)
    return tuple(dict.fromkeys(pid for pid in pids if pid is not None))


def _panic_text(panics: list[bytes]) -> str | None:
    if not panics:
        return None
    return panics[0].decode("utf-8", "backslashreplace").partition(" - not syncing: ")[2].strip()


def _page_size(report: _Report, victims: tuple[Victim, ...]) -> int:
    """Return the page size that makes the victim's row agree with its kill line, for reports without a buddy
    line (memory cgroups); else 4096."""
    sizes = {b"%d" % victim.pid: victim.total_vm_bytes for victim in victims if victim.total_vm_bytes}
    if not sizes or report.columns is None:
        return 4096
    rows = [row for pid, row in tasks.rows_of(report.rows) if pid in sizes]
    for task in tasks.parse_rows(rows, report.columns, page_size_bytes=4096):
        total, pages = sizes[b"%d" % task.pid], task.total_vm_pages
        if pages > 0 and total % pages == 0 and total // pages in _PAGE_SIZES:
            return total // pages
    return 4096


def _tasks(report: _Report, page_size: int) -> Sequence[TaskRow]:
    if report.columns is None:
        return ()
    return tasks.TaskTable(report.rows, report.columns, page_size_bytes=page_size)


def _memory(report: _Report, page_size: int) -> MemoryFacts:
    show = report.show_mem
    counters = report.counters
    return MemoryFacts(
        page_size_bytes=page_size,
        memory=counters.get("memory"),
        memory_swap=counters.get("memory+swap"),
        kmem=counters.get("kmem"),
        swap=counters.get("swap"),
        stats_bytes=report.stats,
        child_stats_bytes=report.child_stats,
        mem_info_pages=show.counts_pages,
        node_fields_bytes=show.node_fields_bytes,
        zones=show.zones(),
        huge_pages=tuple(show.huge_pages),
        swap_free_bytes=show.swap_bytes.get(b"Free"),
        swap_total_bytes=show.swap_bytes.get(b"Total"),
        ram_pages=show.totals_pages.get(b"RAM"),
        highmem_pages=show.totals_pages.get(b"High"),
        reserved_pages=show.totals_pages.get(b"rese"),
        pagecache_pages=_pagecache(show),
        slabs=tuple(report.slabs),
        slab_dumped=report.marks.slab_table,
    )


def _pagecache(show: ShowMem) -> int | None:
    pages = show.totals_pages.get(b"page")
    return None if pages is None else max(0, pages - show.totals_pages.get(b"swap", 0))


def _complete(draft: Draft, report: _Report) -> bool:
    if draft.truncated or draft.lost_before or not draft.decided:
        return False
    if not draft.sections:
        # A kill line alone: the rate limit left out the rest, unless the text begins here.
        return not draft.head_cut
    known = report.counters or report.stats or report.show_mem.counts_pages
    return report.header is not None and bool(known)
