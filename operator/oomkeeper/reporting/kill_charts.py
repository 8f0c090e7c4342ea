"""The bar charts of one kill: usage and limit, free memory and watermarks, memory breakdown, top users."""

from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.units import bytes_text, count_text, share_text
from oomkeeper.resources.killrecord import KillRecord, MemoryZone, ProcessRow

from . import display_names as names


class Bar(NamedTuple):
    """One line of a bar chart."""

    label: str
    value: str
    share: float | None
    """Length of the bar, 0 to 1; None where there is nothing to measure it against."""
    note: str = ""
    hot: bool = False
    """The one to look at: the counter at its limit, the killed process."""


class Chart(NamedTuple):
    """Bars under one heading, with one line that states what a full bar is."""

    title: str
    bars: tuple[Bar, ...]
    caption: str = ""


_USAGE = (
    "Usage is what the kernel charged to the cgroup. Resident memory of a process is counted apart: it has "
    "pages that processes share or that another cgroup is charged for, so the two need not add up."
)
_MOST_ABOVE_LIMIT = 1.5
_NEARLY = 0.95
"""Part of a zone's free memory. If the request could use less than this, the usable amount is shown."""


def kill_charts(kill: KillRecord) -> tuple[Chart, ...]:
    """Return the charts that the record has data for."""
    charts = (_usage_and_limit(kill), _zones(kill), _breakdown(kill), _top_users(kill))
    return tuple(chart for chart in charts if chart.bars)


def task_name(comm: str, pid: int | None) -> str:
    """Return `java (811)`."""
    return f"{comm_text(comm)} ({pid})" if pid is not None else comm_text(comm)


def comm_text(comm: str) -> str:
    """Return a task's name, quoted if it has only blanks."""
    text = printable(comm)
    return f"'{text}'" if text.isspace() else text or "?"


def _usage_and_limit(kill: KillRecord) -> Chart:
    bars = [
        _limit_bar(one.name, one.usage_bytes, one.limit_bytes, hot=one.name == kill.binding_counter)
        for one in kill.counters
        if one.limit_bytes is not None or one.usage_bytes
    ]
    # A kill without a report may have its limit from the cgroup's files and no counter line.
    if not bars and kill.limit_bytes is not None:
        name = kill.binding_counter or "Memory"
        bars.append(_limit_bar(name, kill.usage_bytes, kill.limit_bytes, hot=True))
    return Chart(title="Usage and limit", bars=tuple(bars), caption=_USAGE if bars and kill.tasks else "")


def _limit_bar(name: str, usage: int | None, limit: int | None, *, hot: bool) -> Bar:
    label = names.COUNTERS.get(name, printable(name))
    if limit is None:
        return Bar(label=label, value=f"{bytes_text(usage)}, no limit", share=None, hot=hot)
    if limit == 0:
        value = "none allowed" if not usage else f"{bytes_text(usage)} of 0 B"
        return Bar(label=label, value=value, share=None, hot=hot)
    share = None if usage is None else usage / limit
    return Bar(
        label=label,
        value=f"{bytes_text(usage)} of {bytes_text(limit)}",
        share=share,
        note=f"{share_text(share)}{' reached' if hot else ''}",
        hot=hot,
    )


def _zones(kill: KillRecord) -> Chart:
    """Compare free memory with the watermark below which the page allocator only serves privileged
    requests.
    """
    bars = [bar for zone in kill.zones if (bar := _zone_bar(zone)) is not None]
    if kill.scope != "Global":
        bars = []
    if bars and kill.swap is not None and kill.swap.total_bytes:
        free, total = kill.swap.free_bytes or 0, kill.swap.total_bytes
        value = f"{bytes_text(free)} free of {bytes_text(total)}"
        bars.append(Bar(label="swap", value=value, share=free / total, hot=free * 50 < total))
    return Chart(
        title="Free memory and watermarks",
        bars=tuple(bars),
        caption=(
            "A full bar is the min watermark or more. The reserve is memory kept from requests that could "
            "use a higher zone (lowmem_reserve)."
            if any("+ reserve" in bar.value for bar in bars)
            else "A full bar is the zone's min watermark or more."
        ),
    )


def _zone_bar(zone: MemoryZone) -> Bar | None:
    free, low = zone.free_bytes, zone.min_bytes
    if free is None or not low:
        return None
    label = f"node {zone.node} {printable(zone.zone)}"
    usable, mark = zone.usable_free_bytes, zone.mark_bytes
    if mark is None and usable == 0:
        return Bar(label=label, value=f"{bytes_text(free)} free", share=None, note="not usable here")
    held = f"{bytes_text(free)} free"
    if usable is None or not mark:
        usable, mark = free, low
    elif usable < free * _NEARLY or usable <= mark < free:
        held = f"{bytes_text(usable)} usable"
    below = usable <= mark
    return Bar(
        label=label,
        value=f"{held}, min {'+ reserve ' if mark > low else ''}{bytes_text(mark)}",
        share=usable / mark,
        note=("at or below" if mark > low else "at or below min") if below else "",
        hot=below,
    )


def _breakdown(kill: KillRecord) -> Chart:
    bars, details = [], []
    for part in kill.contributors:
        name, detail = printable(part.name), printable(part.detail or "")
        label = names.CONTRIBUTORS.get(name, name)
        # A share of 0 means that the total is unknown: smaller parts are left out.
        share = part.share or None
        note = share_text(share) if share else ""
        bars.append(Bar(label=label, value=bytes_text(part.bytes), share=share, note=note))
        if detail:
            cache = name == "KernelSlab" and " " not in detail
            details.append(f"{label}: largest cache {detail}." if cache else f"{label}: {detail}.")
    return Chart(title="Memory breakdown", bars=tuple(bars), caption=" ".join(details))


def _top_users(kill: KillRecord) -> Chart:
    sizes = [task.rss_bytes + (task.swap_bytes or 0) for task in kill.tasks]
    # Relative to the limit where one was reached, else to the machine, like the memory breakdown.
    whole, of = kill.limit_bytes, "the limit"
    if kill.scope == "Global" or not whole:
        whole, of = _machine_bytes(kill), "the machine's memory and swap"
    # Resident pages may be charged to another cgroup, so a task may use a little more than the limit. Far
    # more means that the limit is the wrong measure (tasks of several cgroups, another page size).
    if not whole or max(sizes, default=0) > whole * _MOST_ABOVE_LIMIT:
        whole, of = max(sizes, default=0), "the largest process"
    bars = tuple(_task_bar(task, size, whole) for task, size in zip(kill.tasks, sizes, strict=True))
    total = kill.task_count or len(bars)
    processes = count_text(total, "process", "processes")
    shown = f"The {len(bars)} largest of {processes}. " if total > len(bars) else ""
    usage = (
        "Resident memory"
        if not any(task.swap_bytes for task in kill.tasks)
        else "Resident and swapped memory"
    )
    above = whole is not None and max(sizes, default=0) > whole
    elsewhere = " More than all: file pages may be charged to another cgroup." if above else ""
    return Chart(
        title="Top memory users",
        bars=bars,
        caption=f"{shown}{usage} of each process; a full bar is {of}, {bytes_text(whole)}.{elsewhere}",
    )


def _task_bar(task: ProcessRow, size_bytes: int, whole_bytes: int | None) -> Bar:
    share = size_bytes / whole_bytes if whole_bytes else None
    notes = [
        share_text(share),
        "killed" if task.killed else "",
        f"{bytes_text(task.swap_bytes)} swapped" if task.swap_bytes else "",
        f"oom_score_adj {task.oom_score_adj}" if task.oom_score_adj else "",
    ]
    return Bar(
        label=task_name(task.comm, task.pid),
        value=bytes_text(size_bytes),
        share=share,
        note=", ".join(note for note in notes if note),
        hot=task.killed,
    )


def _machine_bytes(kill: KillRecord) -> int | None:
    if not kill.ram_bytes:
        return None
    return kill.ram_bytes + ((kill.swap.total_bytes or 0) if kill.swap is not None else 0)
