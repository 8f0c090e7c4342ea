"""OOMReport.status."""

from typing import Any

import pytest
from msgspec.structs import replace

from oomkeeper.api.oomreport import OOMReportStatus
from oomkeeper.controller.objects import Namespace
from oomkeeper.controller.report_status import next_refresh, report_status
from oomkeeper.model.times import format_time
from oomkeeper.resources import oomreport
from oomkeeper.resources.record import to_document

from .builders import NOW, incident, node, oomnode, report


def test_report_selects_nodes_and_namespaces_by_labels() -> None:
    nodes = {"n": node("n", pool="a"), "m": node("m", pool="b")}
    namespaces = {
        name: Namespace(name=name, uid=name, version=1, labels={"team": name}) for name in ("shop", "bank")
    }
    incidents = [
        incident(node="n", count=1),
        incident(node="m", count=10),
        incident(node="n", namespace="bank", count=100),
        incident(node="gone", namespace="dropped", count=1000),
    ]

    def kills(**spec: Any) -> int:
        status = report_status(
            report("r", **spec), incidents=incidents, nodes=nodes, oomnodes={}, namespaces=namespaces, now=NOW
        )
        OOMReportStatus.parse(to_document(status))
        assert status.totals is not None
        return status.totals.kills

    assert kills() == 1111
    assert kills(nodeSelector={"matchLabels": {"pool": "a"}}) == 101
    assert kills(namespaceSelector={"matchLabels": {"team": "bank"}}) == 100
    assert (
        kills(
            namespaceSelector={"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["bank"]}]}
        )
        == 11
    ), "of a namespace that is gone nothing is known"


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"n": oomnode("n")}, "AllAccounted"),
        ({}, "NodesSilent"),
        ({"n": oomnode("n", observed=0)}, "NodesSilent"),
        ({"n": oomnode("n", unattributed=1)}, "KillsUnattributed"),
    ],
)
def test_report_states_whether_it_is_complete(states: dict[str, Any], reason: str) -> None:
    status = report_status(
        report("r"), incidents=[], nodes={"n": node("n")}, oomnodes=states, namespaces={}, now=NOW
    )
    assert status.conditions[1].reason == reason


def test_invalid_report_has_a_condition_and_no_counts() -> None:
    status = report_status(
        report("r", invalid="spec.top: no"),
        incidents=[incident()],
        nodes={},
        oomnodes={},
        namespaces={},
        now=NOW,
    )
    OOMReportStatus.parse(to_document(status))
    assert status.conditions[0].reason == "InvalidSpec"
    assert status.totals is None


def test_report_is_due_when_new_changed_or_after_its_interval() -> None:
    assert next_refresh(report("r")) == 0.0
    fresh = oomreport.OOMReportStatus(observed_generation=1, refresh_time=format_time(NOW))
    assert next_refresh(report("r", status=fresh, refreshInterval="90s")) == NOW + 90
    assert next_refresh(report("r", status=replace(fresh, observed_generation=0))) == 0.0
    assert next_refresh(
        report("r", invalid="no", status=oomreport.OOMReportStatus(observed_generation=1))
    ) == float("inf")


def test_kills_of_a_deleted_namespace_count_in_a_report_over_all_namespaces() -> None:
    hour = int((NOW - 60) // 3600 * 3600)
    oomnodes = {"n": oomnode("n", history={hour: 12})}

    def totals(**spec: Any) -> tuple[int, int]:
        status = report_status(
            report("r", **spec),
            incidents=[incident(node="n", count=7)],
            nodes={"n": node("n")},
            oomnodes=oomnodes,
            namespaces={"shop": Namespace(name="shop", uid="shop", version=1, labels={"team": "a"})},
            now=NOW,
        )
        assert status.totals is not None
        return status.totals.kills, status.totals.without_incident

    assert totals() == (12, 5)
    assert totals(namespaceSelector={"matchLabels": {"team": "a"}}) == (7, 0)
