"""One OOMIncident in full, for the HTML report: its last kill, memory breakdown, last kills and advice."""

from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import JsonDocument
from oomkeeper.model.times import parse_time
from oomkeeper.model.units import bytes_text, count_text, share_text
from oomkeeper.resources.oomincident import ContributorShare, OOMIncident, OOMIncidentStatus, RecentKill

from . import display_names as names
from .counted_kills import workload_text
from .incident import incident_of
from .kill_charts import Bar, Chart, comm_text
from .report_times import minute_text

KILL_COLUMNS = ("time (UTC)", "pod", "victim", "pid", "usage", "limit", "anonymous", "reported by kubelet")
KILL_NUMBERS = frozenset({"pid", "usage", "limit", "anonymous"})
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
    plot: JsonDocument | None
    """Times, usage and limit of the last kills, oldest first, as report.js takes them."""
    advice: tuple[tuple[str, str], ...]
    uncertain: tuple[str, ...]


def incident_detail(obj: OOMIncident, *, kills: int) -> IncidentDetail:
    """Return the details of one incident. `kills`: within the report's window."""
    status = obj.status or OOMIncidentStatus()
    incident = incident_of(obj)
    container = f", container {obj.spec.container}" if obj.spec.container else ""
    heading = f"{workload_text(incident.workload)}{container}, node {obj.spec.node_name}, "
    return IncidentDetail(
        kills=count_text(kills, "kill"),
        heading=printable(heading) + names.cause_title(printable(incident.cause)),
        summary=printable(status.summary or ""),
        object=printable(f"{obj.metadata.name} -n {obj.metadata.namespace}"),
        breakdown=_breakdown(status.evidence.contributors if status.evidence else ()),
        rows=tuple(map(_kill, status.kills)),
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
