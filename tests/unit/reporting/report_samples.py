"""OOMIncidents for tests of the cluster report."""

from typing import Any

from oomkeeper.model.times import format_time
from oomkeeper.reporting.cluster_coverage import ClusterFacts
from oomkeeper.reporting.cluster_report import ClusterReport, cluster_report
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.oomnode import OOMNode
from oomkeeper.resources.oomreport import OOMReport
from oomkeeper.resources.record import read

NOW = 1_800_000_000.0  # a full hour
HOUR, DAY = 3600.0, 86400.0
MIB = 1 << 20
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[2J\u202e|`=cmd|{{7*7}}&amp;"
"""Markup, control sequences, a formula and a template, as a tenant may write them."""

Json = dict[str, Any]


def incident_object(
    name: str = "web-app-1",
    *,
    kills: tuple[float, ...] = (),
    history: dict[float, int] | None = None,
    workload: str = "web",
    namespace: str = "shop",
    node: str = "n1",
    cause: str = "ContainerLimit",
    advice: tuple[tuple[str, str], ...] = (),
    comm: str = "java",
    limit: int | None = 512 * MIB,
    usage: int | None = 500 * MIB,
    cgroup: str | None = None,
    **status: Any,
) -> Json:
    """`kills`: ages of the last kills in seconds; `history`: age of a full hour -> kills."""
    spec: Json = {"nodeName": node, "cause": cause}
    if cgroup is None:
        spec |= {"workload": {"kind": "Deployment", "name": workload}, "container": "app"}
    else:
        spec["cgroup"] = cgroup
    recent = [
        {
            "id": f"boot-{name}-{age}",
            "time": format_time(NOW - age),
            "comm": comm,
            "pid": 100 + number,
            "pod": f"{workload}-7f9c6d5b8-abcde",
            "podUID": f"uid-{name}",
            "limitBytes": limit,
            "usageBytes": usage,
            "visibility": "Reported",
        }
        for number, age in enumerate(sorted(kills))
    ]
    return {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMIncident",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        "status": {
            "cause": cause,
            "count": max(len(kills), sum((history or {}).values())),
            "lastSeen": format_time(NOW - min(kills, default=0)),
            "summary": f"Container app of pod {namespace}/{workload} reached its memory limit.",
            "advice": [{"remedy": remedy, "message": message} for remedy, message in advice],
            "evidence": {
                "limitBytes": limit,
                "usageBytes": usage,
                "contributors": [{"name": "Anonymous", "bytes": 400 * MIB, "sharePercent": 80}],
            },
            "kills": recent,
            "history": [
                {"hour": format_time((NOW - age) // HOUR * HOUR), "kills": count}
                for age, count in (history or {}).items()
            ],
            **status,
        },
    }


def incident(*args: Any, **values: Any) -> OOMIncident:
    """The same as a record."""
    return read(OOMIncident, incident_object(*args, **values))


def node_object(
    name: str = "n1", *, answered: bool = True, history: Json | None = None, **counters: int
) -> Json:
    """An OOMNode whose agent has answered, with counters."""
    status: Json = {"counters": counters}
    if answered:
        status["observedGeneration"] = 1
    if history:
        status["history"] = history
    return {"metadata": {"name": name}, "spec": {}, "status": status}


def report_object(*conditions: tuple[str, str, str, str], **spec: Any) -> Json:
    """An OOMReport with conditions (type, status, reason, message)."""
    return {
        "metadata": {"name": "cluster"},
        "spec": spec,
        "status": {
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": format_time(NOW),
                }
                for kind, status, reason, message in conditions
            ]
        },
    }


def facts(
    *,
    nodes: tuple[Json, ...] | None = (),
    reports: tuple[Json, ...] | None = (),
    not_read: tuple[str, ...] = (),
) -> ClusterFacts:
    """What the cluster's own objects tell."""
    return ClusterFacts(
        nodes=None if nodes is None else [read(OOMNode, one) for one in nodes],
        reports=None if reports is None else [read(OOMReport, one) for one in reports],
        not_read=not_read,
    )


def report(*incidents: OOMIncident, window: float = 7 * DAY, **values: Any) -> ClusterReport:
    """The report over the window before NOW."""
    values.setdefault("facts", facts())
    return cluster_report(incidents, start=NOW - window, end=NOW, **values)
