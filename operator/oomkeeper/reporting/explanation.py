"""The explanation of one kill: title, summary, tables, charts, advice and details, before any rendering.

Text, Markdown and HTML render the same `Explanation`, so they never disagree.
"""

from typing import NamedTuple

from oomkeeper.kernel.lazy import lazy
from oomkeeper.model.escaping import printable
from oomkeeper.model.times import uptime_text
from oomkeeper.model.units import bytes_text, count_text
from oomkeeper.resources.killrecord import Advice, KilledProcess, KillRecord, ProcessRow, Scenario

from . import display_names as names
from .kill_charts import Chart, comm_text, kill_charts, task_name


class Explanation(NamedTuple):
    """Everything shown for one kill. All text is printable. Advice and uncertainties may have `code` in
    backticks."""

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
    processes: tuple[tuple[str, ...], ...] = ()
    """Rows under `PROCESS_COLUMNS`, the largest first; none where the report has at most one process."""
    processes_caption: str = ""


_RFC3339 = lazy(r"\d{4}-(\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")

BEFORE_INSTALL = " (before install)"
"""After the time of a kill that was before the agent's first start."""
VICTIMS_TITLE = "Killed processes"
ADVICE_TITLE = "What to do"
WHAT_IF_TITLE = "What if"
UNCERTAIN_TITLE = "Uncertain"
WHAT_IF_COLUMNS = ("setting", "outcome", "reason")
VICTIM_COLUMNS = ("process", "pid", "resident", "anonymous", "file", "shared", "uid", "oom_score_adj")
VICTIM_NUMBERS = frozenset(VICTIM_COLUMNS[1:])
"""Columns that are right-aligned."""

PROCESSES_TITLE = "Processes"
PROCESS_COLUMNS = ("process", "pid", "resident", "swapped", "uid", "oom_score_adj", "killed")
PROCESS_NUMBERS = frozenset({"pid", "resident", "swapped", "uid", "oom_score_adj"})


def explanation_of(kill: KillRecord) -> Explanation:
    """Return the explanation of one kill."""
    cause, outcome = printable(kill.cause), printable(kill.outcome)
    title, why = names.CAUSES.get(cause, (cause, ""))
    return Explanation(
        title=names.VICTIM_NOT_IN_LOG if _victim_missing(kill) else names.OUTCOMES.get(outcome, outcome),
        when=when_text(kill) + (BEFORE_INSTALL if getattr(kill, "before_install", False) else ""),
        cause=title if title == cause else f"{title} ({cause})",
        confidence=printable(kill.confidence),
        summary=printable(kill.summary),
        why=why,
        victims=tuple(map(_victim, kill.victims)),
        no_victim=_no_victim(kill),
        charts=kill_charts(kill),
        advice=tuple(map(_advice, kill.advice)),
        what_if=tuple(map(_what_if, kill.what_if)),
        uncertain=(*map(printable, kill.uncertain), *_gaps(kill)),
        details=tuple((label, value) for label, value in _details(kill) if value),
        processes=tuple(map(_process, kill.tasks)) if len(kill.tasks) > 1 else (),
        processes_caption=_processes_caption(kill),
    )


def when_text(kill: KillRecord) -> str:
    """Return the kill's time: wall-clock time, the log's own spelling, or the time since boot."""
    time, text = _text(kill.time), _text(kill.time_text)
    if time.startswith("+"):
        return f"{text} ({time} s after boot)" if text else f"{uptime_text(time)} after boot ({time} s)"
    return time or text or "at an unknown time"


def moment_text(kill: KillRecord) -> str:
    """Return the same in few characters for a table: `33 days 19:05:20`, `11-23 09:09:20Z`."""
    time, text = _text(kill.time), _text(kill.time_text)
    if time.startswith("+"):
        return text or uptime_text(time)
    if dated := _RFC3339.fullmatch(time):
        return f"{dated[1]} {dated[2]}{dated[3]}"
    return time or text or "-"


def _text(text: str | None) -> str:
    """Return the text, escaped once more: a stored record may have been written by another program."""
    return "" if text is None else printable(text)


def _victim_missing(kill: KillRecord) -> bool:
    """Return whether a process may have been killed, but an incomplete log does not show it."""
    return kill.outcome == "NoVictim" and not kill.complete and kill.cause != "NoKillableProcess"


def _victim(victim: KilledProcess) -> tuple[str, ...]:
    parts = (victim.anon_rss_bytes, victim.file_rss_bytes, victim.shmem_rss_bytes)
    known = [part for part in parts if part is not None]
    sizes = (bytes_text(part, missing="-") for part in (sum(known) if known else None, *parts))
    ids = ("-" if number is None else str(number) for number in (victim.uid, victim.oom_score_adj))
    return (comm_text(victim.comm), str(victim.pid), *sizes, *ids)


def _process(task: ProcessRow) -> tuple[str, ...]:
    return (
        comm_text(task.comm),
        str(task.pid),
        bytes_text(task.rss_bytes),
        bytes_text(task.swap_bytes, missing="-"),
        "-" if task.uid is None else str(task.uid),
        "-" if task.oom_score_adj is None else str(task.oom_score_adj),
        "killed" if task.killed else "",
    )


def _processes_caption(kill: KillRecord) -> str:
    shown, total = len(kill.tasks), kill.task_count or 0
    which = f"The {shown} largest of {total:,} processes in the report. " if total > shown else ""
    return f"{which}Resident is what the report's table of tasks shows, before the kill."


def _no_victim(kill: KillRecord) -> str:
    if kill.outcome == "Panicked":
        return f"No process was killed: the kernel panicked{f' ({_text(kill.panic)})' if kill.panic else ''}."
    if kill.outcome == "NoVictim" and not _victim_missing(kill):
        return "No process was killed."
    return "The log does not show which process was killed."


def _advice(item: Advice) -> tuple[str, str]:
    remedy = printable(item.remedy)
    return names.REMEDIES.get(remedy, remedy), printable(item.message)


def _what_if(item: Scenario) -> tuple[str, ...]:
    outcome = names.simulated_outcome(_text(item.outcome), _text(item.victim))
    return printable(item.setting), outcome, printable(item.why)


def _gaps(kill: KillRecord) -> list[str]:
    """Return what is missing from the record, unless the verdict's own uncertainties mention it."""
    gaps = []
    if not kill.complete and not kill.uncertain:
        gaps.append("The report is incomplete: a part of what the kernel printed is not in this log.")
    if kill.lost_before:
        gaps.append(f"Lost just before or inside this report: {count_text(kill.lost_before, 'log record')}.")
    return gaps


def _details(kill: KillRecord) -> list[tuple[str, str]]:
    oom_memcg, task_memcg, level = _text(kill.oom_memcg), _text(kill.task_memcg), _text(kill.level)
    return [
        ("requesting process", _invoker(kill)),
        ("level", _level(kill.cause, level)),
        ("cgroup at its limit", oom_memcg),
        ("victim's cgroup", "the same" if task_memcg and task_memcg == oom_memcg else task_memcg),
        ("pod uid", _text(kill.pod_uid)),
        ("QoS class", _text(kill.qos)),
        ("container id", _text(kill.container_id)),
        ("killed as a group", _text(kill.oom_group)),
        ("constraint", _text(kill.constraint)),
        ("allowed NUMA nodes", _nodes(kill)),
        ("kill lines", f"{kill.kill_lines:,}" if kill.kill_lines > max(1, len(kill.victims)) else ""),
        ("panic", _text(kill.panic)),
        ("kernel", _text(kill.kernel_release)),
        ("record id", _text(getattr(kill, "id", None))),
    ]


def _level(cause: str, level: str) -> str:
    if level == "Pod" and cause == "ContainerLimit":
        return f"{names.LEVELS[level]}, which has the container's limit"
    return "" if level == "Unknown" else names.LEVELS.get(level, level)


def _invoker(kill: KillRecord) -> str:
    if kill.invoker is None:
        return ""
    asked = task_name(kill.invoker.comm, kill.invoker.pid)
    order = kill.invoker.order
    if order is not None and order >= 0:
        asked += f", order {order} ({count_text(1 << min(order, 62), 'page')})"
    return f"{asked}, {printable(kill.invoker.gfp)}" if kill.invoker.gfp else asked


def _nodes(kill: KillRecord) -> str:
    if kill.scope != "Global":
        return ""
    policy, cpuset = _text(kill.nodemask), _text(kill.mems_allowed)
    parts = [
        f"memory policy {policy}" if policy and policy != "(null)" else "",
        f"cpuset {cpuset}" if cpuset else "",
    ]
    return ", ".join(part for part in parts if part)
