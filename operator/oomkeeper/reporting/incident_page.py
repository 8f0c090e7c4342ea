"""The full explanation of OOMIncidents: each one's last kill, and how often and when it was repeated.

Text and Markdown are made from the same pages."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import bytes_text, count_text
from oomkeeper.resources.oomincident import Evidence, OOMIncidentStatus, RecentKill

from .explanation import Explanation, explanation_of
from .explanation_markdown import code, escape, markdown_page, markdown_table
from .explanation_text import text_page, text_section, text_table
from .incident_list import Read, subject_text
from .incident_record import record_of_incident
from .table import age_text
from .terminal_drawing import Pen

KILLS_TITLE = "Last kills"
KILL_COLUMNS = ("time", "pod", "process", "used", "limit", "container", "reported")
KILL_NUMBERS = frozenset({"used", "limit"})


class IncidentPage(NamedTuple):
    """Everything shown for one incident. All text is printable."""

    heading: str
    """NAMESPACE/NAME."""
    counted: str
    """How often it happened, to whom and where, in one sentence; and how it began, where that is known."""
    explanation: Explanation
    """Of the last kill."""
    kills: tuple[tuple[str, ...], ...]
    """Rows under KILL_COLUMNS, the newest first."""


def page_of(one: Read, *, began: str | None = None) -> IncidentPage:
    """Return the page of one incident. `began`: how its kills began."""
    explanation = explanation_of(record_of_incident(one.incident))
    details = (
        *explanation.details,
        *((label, printable(value)) for label, value in _details(one.status) if value),
    )
    return IncidentPage(
        heading=printable(f"{one.namespace}/{one.name}"),
        counted=printable(_counted(one) + (f" {began}" if began else "")),
        explanation=explanation._replace(details=details),
        kills=tuple(tuple(map(printable, _kill(kill))) for kill in one.status.kills),
    )


def incident_text(one: Read, *, pen: Pen, began: str | None = None) -> Iterator[str]:
    """Yield the lines for a terminal."""
    page = page_of(one, began=began)
    yield from text_page(pen, page.explanation)
    yield pen.paint(pen.rule(f"Incident {page.heading}"), "bold")
    yield ""
    yield from pen.wrap(page.counted, indent=" ")
    if page.kills:
        yield ""
        yield from text_section(pen, KILLS_TITLE)
        yield from text_table(pen, KILL_COLUMNS, page.kills, numbers=KILL_NUMBERS)
    yield ""


def incident_markdown(one: Read, *, began: str | None = None) -> Iterator[str]:
    """Yield the lines of a Markdown document."""
    page = page_of(one, began=began)
    yield from markdown_page(page.explanation)
    yield f"### Incident {code(page.heading)}"
    yield ""
    yield escape(page.counted)
    yield ""
    if page.kills:
        yield from markdown_table(KILL_COLUMNS, page.kills, numbers=KILL_NUMBERS)
        yield ""


def _counted(one: Read) -> str:
    spec, status = one.incident.spec, one.status
    container = f"container {spec.container} of " if spec.container else ""
    times = (
        f"at {status.last_seen}"
        if status.count == 1
        else f"between {status.first_seen} and {status.last_seen}"
    )
    return (
        f"{count_text(status.count or 0, 'kill')} in {container}{subject_text(one.incident)} on node "
        f"{spec.node_name} with cause {spec.cause}, {times}."
    )


def _kill(kill: RecentKill) -> tuple[str, ...]:
    return (
        kill.time.partition(".")[0].removesuffix("Z") + "Z",
        kill.pod or "-",
        f"{kill.comm or '?'} ({kill.pid})" if kill.pid is not None else kill.comm or "-",
        bytes_text(kill.usage_bytes, missing="-"),
        bytes_text(kill.limit_bytes, missing="-"),
        run_text(kill),
        kill.visibility or "-",
    )


def run_text(kill: RecentKill) -> str:
    """Return how long the container had run until it was killed, or that it survived; `-` where that is not
    known."""
    if kill.container_survived:
        return "survived"
    started, ended = parse_time(kill.started_at), parse_time(kill.time)
    return "-" if started is None or ended is None or ended < started else f"ran {age_text(ended - started)}"


def _details(status: OOMIncidentStatus) -> Sequence[tuple[str, str]]:
    evidence = status.evidence or Evidence()
    exit_code = f"exit code {evidence.exit_code}" if evidence.exit_code is not None else ""
    status_limit = evidence.status_limit_bytes
    in_force = (
        f", {bytes_text(status_limit)} in force"
        if status_limit is not None and status_limit != evidence.spec_limit_bytes
        else ""
    )
    return (
        ("kubelet reports", ", ".join(filter(None, (evidence.reason, exit_code)))),
        ("limit in the spec", f"{bytes_text(evidence.spec_limit_bytes, missing='')}{in_force}"),
    )
