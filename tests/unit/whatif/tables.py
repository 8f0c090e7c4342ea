"""Task tables made for one question each."""

from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Invoker, Kill, TaskRow
from oomkeeper.model.memory import Counter, MemoryFacts

PAGE = 4096


def row(
    pid: int, comm: str, rss: int, *, adj: int = 0, uid: int = 1000, swap: int = 0, pt: int = 0
) -> TaskRow:
    """A process with sizes in pages."""
    return TaskRow(
        pid=pid,
        uid=uid,
        tgid=pid,
        total_vm_pages=rss * 2,
        rss_pages=rss,
        pgtables_bytes=pt * PAGE,
        swapents_pages=swap,
        oom_score_adj=adj,
        comm=comm,
    )


def machine(*rows: TaskRow, release: str = "6.12.0", pages: int = 1_000_000, **more: object) -> Kill:
    """A shortage of a whole machine of `pages` with no swap; `invoker` is its first process."""
    given: dict[str, object] = {
        "scope": Scope.GLOBAL,
        "constraint": "CONSTRAINT_NONE",
        "kernel_release": release,
        "memory": MemoryFacts(ram_pages=pages + 1000, reserved_pages=1000, swap_total_bytes=0),
        "tasks": rows,
        "invoker": Invoker(
            comm=rows[0].comm,
            pid=rows[0].pid,
            order=0,
            gfp="0x0",
            oom_score_adj=rows[0].oom_score_adj,
        )
        if rows
        else None,
        **more,
    }
    return Kill(**given)  # type: ignore[arg-type]


def cgroup(*rows: TaskRow, limit_pages: int, swap: Counter | None = None, **more: object) -> Kill:
    """A cgroup v2 at its limit, without swap unless `swap` says otherwise."""
    memory = MemoryFacts(
        memory=Counter(usage_bytes=limit_pages * PAGE, limit_bytes=limit_pages * PAGE),
        swap=swap or Counter(usage_bytes=0, limit_bytes=0),
    )
    return machine(
        *rows, **{"scope": Scope.MEMCG, "constraint": "CONSTRAINT_MEMCG", "memory": memory, **more}
    )
