"""The report of `kubectl oom report`: what is counted, how lists are ranked, and what is not known."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.model.times import format_time
from oomkeeper.reporting.cluster_report import most_frequent

from .report_samples import DAY, HOUR, MIB, NOW, facts, incident, node_object, report, report_object

FIT, LEAK = ("FitLimit", "set 640Mi"), ("FindLeak", "take a heap profile")


def test_totals_count_kills_of_the_window_by_workload_namespace_and_node() -> None:
    made = report(
        incident("a", kills=(10, 20), workload="web"),
        incident("b", kills=(30,), workload="web", node="n2"),
        incident("c", kills=(40,), workload="api", namespace="pay"),
        incident("old", kills=(8 * DAY,), workload="gone"),
    )
    totals = made.totals
    assert (totals.kills, totals.incidents, totals.workloads, totals.namespaces, totals.nodes) == (
        4,
        3,
        2,
        2,
        2,
    )
    assert [(row.place, row.kills, row.nodes) for row in made.workloads] == [
        ("Deployment shop/web", 3, 2),
        ("Deployment pay/api", 1, 1),
    ]


def test_timeline_has_the_hours_with_a_kill_by_cause() -> None:
    made = report(
        incident("a", kills=(10,), history={10: 1, 5 * HOUR + 1: 3}),
        incident("b", kills=(20,), cause="NodeMemory"),
    )
    assert [(row.start, row.kills, row.causes) for row in made.timeline] == [
        (format_time(NOW - 6 * HOUR), 3, {"ContainerLimit": 3}),
        (format_time(NOW - HOUR), 2, {"ContainerLimit": 1, "NodeMemory": 1}),
    ]


def test_workload_has_limit_and_usage_of_one_kill() -> None:
    made = report(
        incident("old", kills=(500, 600), limit=100 * MIB, usage=99 * MIB),
        incident("new", kills=(10,), limit=200 * MIB, usage=150 * MIB),
        incident("other", kills=(1,), cause="NodeMemory", limit=300 * MIB, comm="tail"),
    )
    [row] = made.workloads
    assert (row.cause, row.limit_bytes, row.usage_bytes) == ("ContainerLimit", 200 * MIB, 150 * MIB)


def test_kill_without_a_report_takes_limit_and_usage_from_the_kill_before() -> None:
    one = incident("a", kills=(10, 20))
    first, second = one.status.kills  # type: ignore[union-attr]
    bare = msgspec.structs.replace(first, limit_bytes=None, usage_bytes=None)
    status = msgspec.structs.replace(one.status, kills=(bare, second))
    [row] = report(msgspec.structs.replace(one, status=status)).workloads
    assert (row.limit_bytes, row.usage_bytes, row.victim) == (512 * MIB, 500 * MIB, "java")


def test_host_processes_are_in_no_namespace() -> None:
    made = report(
        incident("a", kills=(10,), cgroup="/system.slice/sshd.service", namespace="oomkeeper-system")
    )
    [row] = made.workloads
    assert (row.namespace, row.kind, row.name) == (None, "Cgroup", "/system.slice/sshd.service")
    assert made.namespaces == ()


def test_advice_is_ranked_by_the_kills_that_it_would_have_prevented() -> None:
    made = report(
        incident("a", kills=(1, 2, 3), workload="a", advice=(FIT, LEAK)),
        incident("b", kills=(4, 5), workload="b", advice=(LEAK,)),
    )
    assert [(row.remedy, row.kills, row.workloads, row.workload) for row in made.advice] == [
        ("FindLeak", 5, 2, "Deployment shop/a (3 of 5)"),
        ("FitLimit", 3, 1, "Deployment shop/a"),
    ]


def test_kills_whose_incident_is_gone_are_counted_by_node_in_a_report_of_everything() -> None:
    history = {"firstHour": format_time(NOW - 2 * HOUR), "kills": [7]}
    nodes = (node_object("n1", history=history),)
    kept = incident("a", kills=(HOUR + 10,), history={HOUR + 10: 2})
    made = report(kept, facts=facts(nodes=nodes))
    assert (made.totals.kills, made.totals.without_incident) == (7, 5)
    assert [(row.node, row.kills, row.without_incident) for row in made.nodes] == [("n1", 7, 5)]
    assert any(text.startswith("5 kills have no incidents any more") for text in made.coverage.sentences)
    part = report(kept, facts=facts(nodes=nodes), namespace="shop")
    assert (part.totals.kills, part.totals.without_incident) == (2, 0)


def test_coverage_names_gaps_and_nodes() -> None:
    coverage = report(
        facts=facts(
            nodes=(
                node_object("n1", unattributed=3),
                node_object("n2", lostLogRecords=20),
                node_object("n3", answered=False),
            ),
            reports=(report_object(("ClocksAgree", "False", "NodesSkewed", "n2 is 300 s behind")),),
        ),
        malformed=lambda: 1,
    ).coverage
    assert (coverage.complete, coverage.unattributed, coverage.lost_log_records) == (False, 3, 20)
    assert coverage.silent_nodes == ("n3",)
    text = " ".join(coverage.sentences)
    for part in (
        "1 node has no agent that has answered yet, so kills there are not in this report: n3.",
        "n2 is 300 s behind",
        "3 kills without a record, since the agents were installed: n1 (3).",
        "20 kernel log records overwritten unread",
        "1 OOMIncident could not be read",
    ):
        assert part in text


def test_silent_nodes_are_known_from_a_report_over_the_whole_cluster_only() -> None:
    silent = ("Complete", "False", "NodesSilent", "2 nodes have no agent that reports, such as n7")
    nodes = (node_object("n1"),)
    assert "such as n7" in " ".join(
        report(facts=facts(nodes=nodes, reports=(report_object(silent),))).coverage.sentences
    )
    part = report_object(silent, nodeSelector={"matchLabels": {"pool": "a"}})
    coverage = report(facts=facts(nodes=nodes, reports=(part,))).coverage
    assert coverage.complete is True
    assert coverage.sentences == ("Every OOM kill that the kernels of 1 node counted has a record.",)


def test_cluster_without_nodes_is_not_called_complete() -> None:
    coverage = report(facts=facts()).coverage
    assert coverage.complete is False
    assert coverage.sentences[0].startswith("No node is known to oomkeeper")


def test_objects_that_may_not_be_read_leave_completeness_unknown() -> None:
    reason = "Not known, because you may not list OOMNodes: kills without a record."
    made = report(facts=facts(nodes=None, reports=None, not_read=(reason,)), namespace="shop").coverage
    assert (made.complete, made.unattributed, made.nodes) == (None, None, None)
    assert made.sentences[0] == reason
    assert "Only kills of workloads in namespace shop" in made.sentences[1]


def test_incidents_with_most_kills_come_first() -> None:
    many, few = incident("many", kills=(1, 2, 3)), incident("few", kills=(1,))
    found = most_frequent([few, many], start=NOW - DAY, end=NOW, top=1)
    assert [(obj.metadata.name, kills) for obj, kills in found] == [("many", 3)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["web", "api"]),
            st.sampled_from(["n1", "n2"]),
            st.sampled_from(["ContainerLimit", "NodeMemory"]),
            st.lists(st.floats(0, 8 * DAY), max_size=10),
            st.dictionaries(st.floats(0, 8 * DAY), st.integers(0, 50), max_size=8),
        ),
        max_size=8,
    )
)
def test_every_list_adds_up_to_the_total(
    rows: list[tuple[str, str, str, list[float], dict[float, int]]],
) -> None:
    made = report(
        *(
            incident(
                f"i{place}", workload=workload, node=node, cause=cause, kills=tuple(kills), history=history
            )
            for place, (workload, node, cause, kills, history) in enumerate(rows)
        )
    )
    total = made.totals.kills
    for counted in (made.timeline, made.causes, made.workloads, made.namespaces, made.nodes):
        assert sum(row.kills for row in counted) == total
    assert sum(sum(row.causes.values()) for row in made.timeline) == total
