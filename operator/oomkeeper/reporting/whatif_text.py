"""Render a simulated event as a table for a terminal, from its JSON object."""

from collections.abc import Iterator, Sequence

from oomkeeper.model.units import bytes_text, count_text

from .display_names import simulated_outcome
from .terminal_drawing import Pen, cells
from .whatif_record import RecordedOutcome, ScoredProcess, SimulatedSettings, Simulation

_COLUMNS = ("", "process", "pid", "uid", "resident", "swapped", "page tables", "oom_score_adj", "points")
_RIGHT = 2
"""Numbers are right-aligned from this column on."""


def outlook_pages(
    events: Iterator[Simulation],
    *,
    top: int,
    width: int = 100,
    colour: bool = False,
    unicode: bool = True,
) -> Iterator[str]:
    """Yield one page per event, each ending in a newline, with the `top` processes of highest points."""
    pen = Pen(width=max(60, width), colour=colour, unicode=unicode)
    for event in events:
        yield pen.encodable("".join(f"{line.rstrip()}\n" for line in _page(pen, event, top)))


def _page(pen: Pen, event: Simulation, top: int) -> Iterator[str]:
    when = event.time or event.time_text or "at an unknown time"
    yield pen.paint(pen.rule(f"OOM of {_place(event)}, {when}"), "alarm")
    yield ""
    verdict = f"{simulated_outcome(event.outcome, event.victim)}. {event.why}"
    asked = _settings(event.settings)
    head = f" With {asked}: " if asked else " With the recorded settings: "
    yield from (pen.paint(line, "bold") for line in pen.wrap(verdict, indent="  ", first=head))
    yield from pen.wrap(_recorded(event.recorded), indent="  ", first=" ")
    for name in event.unmatched:
        yield from pen.wrap(f"The table has no process {name}.", indent="  ", first=" ")
    for sentence in event.caveats:
        yield from (pen.paint(line, "yellow") for line in pen.wrap(sentence, indent="  ", first=" "))
    yield ""
    if event.tasks:
        yield from _table(pen, [_COLUMNS, *(_row(task, event) for task in event.tasks[:top])])
        yield from (pen.paint(line, "dim") for line in pen.wrap(_caption(event, top), indent="   "))
        yield ""


def _place(event: Simulation) -> str:
    if event.scope == "Memcg":
        return str(event.oom_memcg or "a memory cgroup")
    return {"CONSTRAINT_CPUSET": "a cpuset", "CONSTRAINT_MEMORY_POLICY": "a memory policy"}.get(
        event.constraint, "the machine"
    )


def _settings(settings: SimulatedSettings) -> str:
    parts = [f"oom_score_adj of {one.process} = {one.value}" for one in settings.oom_score_adj]
    sysctls = {
        "vm.oom_kill_allocating_task": settings.oom_kill_allocating_task,
        "vm.panic_on_oom": settings.panic_on_oom,
    }
    parts += [f"{key}={value}" for key, value in sysctls.items() if value]
    return ", ".join(parts)


def _recorded(recorded: RecordedOutcome) -> str:
    if recorded.panic:
        return f"Recorded: the kernel panicked ({recorded.panic})."
    names = recorded.victims
    if not names:
        return "Recorded: the log does not show a killed process."
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    killed = f"Recorded: {', '.join(names[:3])}{more} killed"
    if recorded.agrees is None:
        return f"{killed}."
    if recorded.agrees:
        return f"{killed}, as the score predicts."
    return f"{killed}, but by the table the score predicts pid {recorded.score_chooses_pid}."


def _row(task: ScoredProcess, event: Simulation) -> tuple[str, ...]:
    adj, was = task.oom_score_adj, task.recorded_oom_score_adj
    points = "never killed" if not task.eligible else "-" if task.points is None else f"{task.points:,}"
    return (
        ">" if task.pid == event.victim_pid else "",
        task.comm,
        str(task.pid),
        str(task.uid),
        bytes_text(task.rss_bytes),
        bytes_text(task.swap_bytes, missing="-"),
        bytes_text(task.pgtables_bytes, missing="-"),
        str(adj) if adj == was else f"{adj} (was {was})",
        points,
    )


def _table(pen: Pen, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    rooms = [max(cells(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    for number, row in enumerate(rows):
        line = " ".join(
            (" " * (room - cells(cell)) + cell if place >= _RIGHT else pen.fit(cell, room))
            + (" " if place else "")
            for place, (cell, room) in enumerate(zip(row, rooms, strict=True))
        )
        style = "dim" if number == 0 else "red" if row[0] else ""
        yield " " + (pen.paint(line.rstrip(), style) if style else line)


def _caption(event: Simulation, top: int) -> str:
    total = len(event.tasks)
    shown = f"The first {top} of {count_text(total, 'process', 'processes')}. " if total > top else ""
    unit = "pages" if event.points_unit == "Pages" else "thousandths"
    size = event.domain_bytes
    if size is None:
        return f"{shown}Points are {unit}."
    least = "" if event.domain_exact else "at least "
    return f"{shown}Points are {unit}; one step of oom_score_adj is a thousandth of {least}{_domain(size)}."


def _domain(size: int) -> str:
    return "no limit" if size > 1 << 60 else bytes_text(size)
