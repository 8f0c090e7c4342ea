"""The explanation of one kill: title, summary, tables, charts, advice and details, before any rendering.

Text, Markdown and HTML render the same `Explanation`, so they never disagree. It is made from the JSON object
(`kill_json`), which may be a stored one of another version: an absent key reads as unknown.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from oomkeeper.kernel.lazy import lazy
from oomkeeper.model.escaping import printable
from oomkeeper.model.units import bytes_text, count_text, share_text

from . import display_names as words


class Bar(NamedTuple):
    """One line of a bar chart."""

    label: str
    value: str
    share: float | None
    """Length of the bar, 0 to 1; None where there is nothing to measure it against."""
    note: str = ""
    hot: bool = False
    """The one to look at: the counter that bound, the process that died."""


class Chart(NamedTuple):
    """Bars under one heading, with one line that states what a full bar is."""

    title: str
    bars: tuple[Bar, ...]
    caption: str = ""


class Explanation(NamedTuple):
    """Everything shown for one kill. All text is printable; only advice has markup, `code` in backticks."""

    title: str
    when: str
    cause: str
    confidence: str
    summary: str
    why: str
    victims: tuple[tuple[str, ...], ...]
    """Rows under `VICTIM_COLUMNS`."""
    no_victim: str
    """Shown where `victims` is empty."""
    charts: tuple[Chart, ...]
    advice: tuple[tuple[str, str], ...]
    """(display name of the remedy, message)."""
    what_if: tuple[tuple[str, ...], ...]
    """Rows under `WHAT_IF_COLUMNS`; none where the report has no task table."""
    uncertain: tuple[str, ...]
    details: tuple[tuple[str, str], ...]
    """(label, value): paths, ids and flags for further analysis."""


_RFC3339 = lazy(r"\d{4}-(\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")
_MOST_ABOVE_LIMIT = 1.5
_NEARLY = 0.95
"""Part of a zone's free memory. If the request could use less than this, the usable amount is shown."""

VICTIMS_TITLE = "Killed processes"
ADVICE_TITLE = "What to do"
WHAT_IF_TITLE = "What if"
UNCERTAIN_TITLE = "Uncertain"
WHAT_IF_COLUMNS = ("setting", "outcome", "reason")
VICTIM_COLUMNS = ("process", "pid", "resident", "anonymous", "file", "shared", "uid", "oom_score_adj")


def explanation_of(kill: Mapping[str, Any]) -> Explanation:
    """Return the explanation of one kill's JSON object."""
    cause = _str(kill.get("cause")) or "Unknown"
    title, why = words.CAUSES.get(cause, (cause, ""))
    outcome = _str(kill.get("outcome"))
    victims = tuple(_victim(victim) for victim in kill.get("victims") or ())
    return Explanation(
        title=_title(outcome, kill),
        when=when_text(kill),
        cause=title if title == cause else f"{title} ({cause})",
        confidence=_str(kill.get("confidence")) or "unknown",
        summary=_str(kill.get("summary")),
        why=why,
        victims=victims,
        no_victim=_no_victim(outcome, kill),
        charts=tuple(
            chart for chart in (_limits(kill), _zones(kill), _contributors(kill), _tasks(kill)) if chart.bars
        ),
        advice=tuple(_advice(item) for item in kill.get("advice") or ()),
        what_if=tuple(_what_if(item) for item in kill.get("whatIf") or ()),
        uncertain=(*(_str(text) for text in kill.get("uncertain") or ()), *_gaps(kill)),
        details=tuple((label, value) for label, value in _details(kill) if value),
    )


def _title(outcome: str, kill: Mapping[str, Any]) -> str:
    if _victim_missing(outcome, kill):
        return words.VICTIM_NOT_IN_LOG
    return words.OUTCOMES.get(outcome, outcome or "OOM kill")


def _victim_missing(outcome: str, kill: Mapping[str, Any]) -> bool:
    """Return whether a process may have been killed, but an incomplete log does not show it."""
    return (
        outcome == "NoVictim" and kill.get("complete") is False and kill.get("cause") != "NoKillableProcess"
    )


def when_text(kill: Mapping[str, Any]) -> str:
    """Return the kill's time: wall-clock time, the log's own spelling, or the time since boot."""
    time = _str(kill.get("time"))
    if time.startswith("+"):
        text = _str(kill.get("timeText"))
        return f"{text} ({time} s after boot)" if text else f"{_clock(time)} after boot ({time} s)"
    return time or _str(kill.get("timeText")) or "at an unknown time"


def moment_text(kill: Mapping[str, Any]) -> str:
    """Return the same in few characters for a table: `33 days 19:05:20`, `11-23 09:09:20Z`."""
    time = _str(kill.get("time"))
    if time.startswith("+"):
        return _str(kill.get("timeText")) or _clock(time)
    if dated := _RFC3339.fullmatch(time):
        return f"{dated[1]} {dated[2]}{dated[3]}"
    return time or _str(kill.get("timeText")) or "-"


def _clock(time: str) -> str:
    try:
        seconds = int(float(time))
    except (ValueError, OverflowError):
        return time
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{count_text(days, 'day')} {clock}" if days else clock


def _str(value: object) -> str:
    return "" if value is None else printable(str(value))


def _task_name(comm: object, pid: object) -> str:
    return f"{_comm(comm)} ({_str(pid)})" if pid is not None else _comm(comm)


def _comm(comm: object) -> str:
    """Return a task's name, quoted if it has only blanks."""
    text = _str(comm)
    return f"'{text}'" if text.isspace() else text or "?"


def _victim(victim: Mapping[str, Any]) -> tuple[str, ...]:
    parts = [victim.get(key) for key in ("anonRssBytes", "fileRssBytes", "shmemRssBytes")]
    known = [part for part in parts if part is not None]
    sizes = [bytes_text(part, missing="-") for part in (sum(known) if known else None, *parts)]
    ids = ["-" if victim.get(key) is None else _str(victim[key]) for key in ("uid", "oomScoreAdj")]
    return (_comm(victim.get("comm")), _str(victim.get("pid")), *sizes, *ids)


def _no_victim(outcome: str, kill: Mapping[str, Any]) -> str:
    if outcome == "Panicked":
        panic = _str(kill.get("panic"))
        return f"No process was killed: the kernel panicked{f' ({panic})' if panic else ''}."
    if outcome == "NoVictim" and not _victim_missing(outcome, kill):
        return "No process was killed."
    return "The log does not show which process was killed."


def _limits(kill: Mapping[str, Any]) -> Chart:
    binding = kill.get("bindingCounter")
    bars = []
    for counter in kill.get("counters") or ():
        name, usage, limit = _str(counter.get("name")), counter.get("usageBytes"), counter.get("limitBytes")
        if usage is None or (limit is None and not usage):
            continue
        bars.append(_limit_bar(name, usage, limit, hot=name == binding))
    # A stored kill, or one without a header, may have its limit from the cgroup's files and no counter line.
    if not bars and kill.get("limitBytes") is not None:
        bars.append(
            _limit_bar(_str(binding) or "Memory", kill.get("usageBytes"), kill["limitBytes"], hot=True)
        )
    return Chart(title="Usage and limit", bars=tuple(bars))


def _limit_bar(name: str, usage: int | None, limit: int | None, *, hot: bool) -> Bar:
    label = words.COUNTERS.get(name, name)
    if limit is None:
        return Bar(label=label, value=f"{bytes_text(usage)}, no limit", share=None, hot=hot)
    if limit == 0:
        return Bar(
            label=label,
            value="none allowed" if not usage else f"{bytes_text(usage)} of 0 B",
            share=None,
            hot=hot,
        )
    share = None if usage is None else usage / limit
    failed = " reached" if hot else ""
    return Bar(
        label=label,
        value=f"{bytes_text(usage)} of {bytes_text(limit)}",
        share=share,
        note=f"{share_text(share)}{failed}",
        hot=hot,
    )


def _zones(kill: Mapping[str, Any]) -> Chart:
    """Compare free memory with the watermark below which the page allocator only serves privileged
    requests.
    """
    if kill.get("scope") != "Global":
        return Chart(title="", bars=())
    bars = [bar for zone in kill.get("zones") or () if (bar := _zone_bar(zone)) is not None]
    swap = kill.get("swap")
    if bars and swap and swap.get("totalBytes"):
        free, total = swap.get("freeBytes") or 0, swap["totalBytes"]
        bars.append(
            Bar(
                label="swap",
                value=f"{bytes_text(free)} free of {bytes_text(total)}",
                share=free / total,
                hot=free * 50 < total,
            )
        )
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


def _zone_bar(zone: Mapping[str, Any]) -> Bar | None:
    free, low = zone.get("freeBytes"), zone.get("minBytes")
    if free is None or not low:
        return None
    label = f"node {_str(zone.get('node'))} {_str(zone.get('zone'))}"
    usable, mark = zone.get("usableFreeBytes"), zone.get("markBytes")
    if mark is None and usable == 0:
        return Bar(label=label, value=f"{bytes_text(free)} free", share=None, note="not usable here")
    held = f"{bytes_text(free)} free"
    if usable is None or mark is None:
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


def _contributors(kill: Mapping[str, Any]) -> Chart:
    bars, details = [], []
    for part in kill.get("contributors") or ():
        name, detail = _str(part.get("name")), _str(part.get("detail"))
        label = words.CONTRIBUTORS.get(name, name)
        bars.append(
            Bar(
                label=label,
                value=bytes_text(part.get("bytes")),
                share=part.get("share"),
                note=share_text(part.get("share")),
            )
        )
        if detail:
            cache = name == "KernelSlab" and " " not in detail
            details.append(f"{label}: largest cache {detail}." if cache else f"{label}: {detail}.")
    return Chart(title="Memory breakdown", bars=tuple(bars), caption=" ".join(details))


def _tasks(kill: Mapping[str, Any]) -> Chart:
    tasks = kill.get("tasks") or ()
    sizes = [(task.get("rssBytes") or 0) + (task.get("swapBytes") or 0) for task in tasks]
    # Relative to the limit where one was reached, else to the machine, like the memory breakdown.
    whole, of = kill.get("limitBytes"), "the limit"
    if kill.get("scope") == "Global" or not whole:
        whole, of = _machine_bytes(kill), "the machine's memory and swap"
    # Resident pages may be charged to another cgroup, so a task may use a little more than the limit. Far
    # more means that the limit is the wrong measure (tasks of several cgroups, another page size).
    if not whole or max(sizes, default=0) > whole * _MOST_ABOVE_LIMIT:
        whole, of = max(sizes, default=0), "the largest process"
    bars = []
    for task, size in zip(tasks, sizes, strict=True):
        notes = [
            share_text(size / whole) if whole else "",
            "killed" if task.get("killed") else "",
            f"{bytes_text(task['swapBytes'])} swapped" if task.get("swapBytes") else "",
            f"adj {task['oomScoreAdj']}" if task.get("oomScoreAdj") else "",
        ]
        bars.append(
            Bar(
                label=_task_name(task.get("comm"), task.get("pid")),
                value=bytes_text(size),
                share=size / whole if whole else None,
                note=", ".join(note for note in notes if note),
                hot=bool(task.get("killed")),
            )
        )
    total = kill.get("taskCount") or len(bars)
    shown = (
        f"The {len(bars)} largest of {count_text(total, 'process', 'processes')}; "
        if total > len(bars)
        else ""
    )
    return Chart(
        title="Top memory users",
        bars=tuple(bars),
        caption=_sentence(f"{shown}a full bar is {of}, {bytes_text(whole)}."),
    )


def _machine_bytes(kill: Mapping[str, Any]) -> int | None:
    ram, swap = kill.get("ramBytes"), kill.get("swap") or {}
    return ram + (swap.get("totalBytes") or 0) if ram else None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _advice(item: object) -> tuple[str, str]:
    if not isinstance(item, Mapping):
        return "", _str(item)
    remedy = _str(item.get("remedy"))
    return words.REMEDIES.get(remedy, remedy), _str(item.get("message"))


def _what_if(item: Mapping[str, Any]) -> tuple[str, ...]:
    what = words.simulated_outcome(_str(item.get("outcome")), _str(item.get("victim")))
    return _str(item.get("setting")), what, _str(item.get("why"))


def _gaps(kill: Mapping[str, Any]) -> list[str]:
    """Return what is missing from the record, unless the verdict's own uncertainties mention it."""
    gaps = []
    if kill.get("complete") is False and not kill.get("uncertain"):
        gaps.append("The report is incomplete: a part of what the kernel printed is not in this log.")
    if lost := kill.get("lostBefore"):
        gaps.append(f"Lost just before or inside this report: {count_text(int(lost), 'log record')}.")
    return gaps


def _details(kill: Mapping[str, Any]) -> list[tuple[str, str]]:
    invoker = kill.get("invoker")
    asked = ""
    if invoker:
        asked = _task_name(invoker.get("comm"), invoker.get("pid"))
        order = invoker.get("order")
        if order is not None and order >= 0:
            asked += f", order {order} ({count_text(1 << min(order, 62), 'page')})"
        if invoker.get("gfp"):
            asked += f", {_str(invoker['gfp'])}"
    oom_memcg, task_memcg = _str(kill.get("oomMemcg")), _str(kill.get("taskMemcg"))
    lines = kill.get("killLines") or 0
    level = _str(kill.get("level"))
    return [
        ("requesting process", asked),
        ("level", words.LEVELS.get(level, level) if level != "Unknown" else ""),
        ("cgroup at its limit", oom_memcg),
        ("victim's cgroup", "the same" if task_memcg and task_memcg == oom_memcg else task_memcg),
        ("pod uid", _str(kill.get("podUid"))),
        ("QoS class", _str(kill.get("qos"))),
        ("container id", _str(kill.get("containerId"))),
        ("killed as a group", _str(kill.get("oomGroup"))),
        ("constraint", _str(kill.get("constraint"))),
        ("allowed NUMA nodes", _nodes(kill)),
        ("kill lines", f"{lines:,}" if lines > max(1, len(kill.get("victims") or ())) else ""),
        ("panic", _str(kill.get("panic"))),
        ("kernel", _str(kill.get("kernelRelease"))),
        ("record id", _str(kill.get("id"))),
    ]


def _nodes(kill: Mapping[str, Any]) -> str:
    if kill.get("scope") != "Global":
        return ""
    policy, cpuset = _str(kill.get("nodemask")), _str(kill.get("memsAllowed"))
    parts = [
        f"memory policy {policy}" if policy and policy != "(null)" else "",
        f"cpuset {cpuset}" if cpuset else "",
    ]
    return ", ".join(part for part in parts if part)
