"""One OOMIncident in full, for the HTML report: its last kill, memory breakdown, last kills and advice."""

from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import bytes_text, count_text, share_text
from oomkeeper.resources.oomincident import (
    ContributorShare,
    Evidence,
    OOMIncident,
    OOMIncidentStatus,
    RecentKill,
    VictimFacts,
)

from . import display_names as names
from .counted_kills import workload_text
from .incident import incident_of
from .incident_record import victims_omitted_text
from .kill_charts import Bar, Chart, comm_text
from .report_times import minute_text

KILL_COLUMNS = ("time (UTC)", "pod", "victim", "pid", "usage", "limit", "anonymous", "reported by kubelet")
KILL_NUMBERS = frozenset({"pid", "usage", "limit", "anonymous"})
VICTIM_COLUMNS = ("process", "pid", "resident", "anonymous", "file", "shared", "uid", "oom_score_adj")
VICTIM_NUMBERS = frozenset(VICTIM_COLUMNS[1:])
_VICTIMS_NOTE = "Of the last kill that the kernel reported."
_LEAST_POINTS = 2
"""Kills with a usage that make a plot."""


class IncidentDetail(NamedTuple):
    """Everything shown. All text is printable."""

    kills: str
    heading: str
    summary: str
    object: str
    """`NAME -n NAMESPACE`."""
    breakdown: Chart
    rows: tuple[tuple[str, ...], ...]
    """Rows under `KILL_COLUMNS`, newest first."""
    rows_note: str
    """How many kills have no row; empty where all have one."""
    victims: tuple[tuple[str, ...], ...]
    """Killed processes under `VICTIM_COLUMNS`."""
    victims_note: str
    """Of which kill, and how many have no row."""
    plot: JsonDocument | None
    """Times, usage and limit of the last kills, oldest first, as report.js takes them."""
    advice: tuple[tuple[str, str], ...]
    uncertain: tuple[str, ...]


def incident_detail(obj: OOMIncident, *, kills: int) -> IncidentDetail:
    """Return the details of one incident. `kills`: within the report's window."""
    status = obj.status or OOMIncidentStatus()
    evidence = status.evidence or Evidence()
    incident = incident_of(obj)
    container = f", container {obj.spec.container}" if obj.spec.container else ""
    heading = f"{workload_text(incident.workload)}{container}, node {obj.spec.node_name}, "
    return IncidentDetail(
        kills=count_text(kills, "kill"),
        heading=printable(heading) + names.cause_title(printable(incident.cause)),
        summary=printable(status.summary or ""),
        object=printable(f"{obj.metadata.name} -n {obj.metadata.namespace}"),
        breakdown=_breakdown(evidence.contributors),
        rows=tuple(map(_kill, status.kills)),
        rows_note=_rows_note(status),
        victims=tuple(map(_victim, evidence.victims)),
        victims_note=" ".join(filter(None, (_VICTIMS_NOTE, victims_omitted_text(evidence)))),
        plot=_plot(status.kills),
        advice=tuple(
            (names.REMEDIES.get(item.remedy, printable(item.remedy)), printable(item.message))
            for item in status.advice
        ),
        uncertain=tuple(map(printable, status.uncertain)),
    )


def _breakdown(parts: tuple[ContributorShare, ...]) -> Chart:
    return Chart(
        title="Memory breakdown",
        bars=tuple(
            Bar(
                label=names.CONTRIBUTORS.get(part.name, printable(part.name)),
                value=bytes_text(part.bytes),
                share=part.share_percent / 100,
                note=share_text(part.share_percent / 100),
            )
            for part in parts
        ),
        caption="Of the usage at the last kill that the kernel reported.",
    )


def _kill(kill: RecentKill) -> tuple[str, ...]:
    return (
        f"{minute_text(kill.time)}{printable(kill.time[16:19])}",
        printable(kill.pod or "-"),
        comm_text(kill.comm) if kill.comm else "-",
        "-" if kill.pid is None else str(kill.pid),
        bytes_text(kill.usage_bytes, missing="-"),
        bytes_text(kill.limit_bytes, missing="-"),
        bytes_text(kill.anon_rss_bytes, missing="-"),
        {"Reported": "yes", "Invisible": "no", "Host": "-"}.get(kill.visibility or "", "-"),
    )


def _rows_note(status: OOMIncidentStatus) -> str:
    """An incident keeps its last kills; the others are in its count and its kills per hour."""
    shown, count = len(status.kills), status.count or 0
    return f"The last {shown} of {count:,} kills; an incident keeps no more." if shown < count else ""


def _victim(victim: VictimFacts) -> tuple[str, ...]:
    parts = (victim.anon_rss_bytes, victim.file_rss_bytes, victim.shmem_rss_bytes)
    known = [part for part in parts if part is not None]
    return (
        comm_text(victim.comm),
        str(victim.pid),
        bytes_text(sum(known) if known else None, missing="-"),
        *(bytes_text(part, missing="-") for part in parts),
        "-" if victim.uid is None else str(victim.uid),
        "-" if victim.oom_score_adj is None else str(victim.oom_score_adj),
    )


def _plot(kills: tuple[RecentKill, ...]) -> JsonDocument | None:
    points = [
        (time, kill.usage_bytes, kill.limit_bytes)
        for kill in kills
        if kill.usage_bytes is not None and (time := parse_time(kill.time)) is not None
    ]
    points.sort(key=lambda point: point[0])
    if len(points) < _LEAST_POINTS:
        return None
    times, usage, limit = zip(*points, strict=True)
    return {"times": times, "usage": usage, "limit": limit}
