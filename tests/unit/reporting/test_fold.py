"""Incidents into reports and summaries."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.api.oompolicy import OOMSummary
from oomkeeper.api.oomreport import OOMReportStatus
from oomkeeper.model.cause import Cause, Remedy
from oomkeeper.model.times import format_time
from oomkeeper.reporting.counted_kills import NodeAccount
from oomkeeper.reporting.fold import MAX_BYTES, fold_report, fold_summary, size_bytes
from oomkeeper.reporting.incident import Incident, Workload, decode_incident
from oomkeeper.reporting.window import kills_since, placed_kills
from oomkeeper.resources.record import to_document

NOW = 1_800_000_000.0  # a full hour
HOUR, DAY = 3600.0, 86400.0
LISTS = ("byCause", "byNamespace", "byWorkload", "byNode", "buckets", "advice", "incompleteNodes")
"""Absent from a document if empty."""


def incident(
    name: str = "i",
    *,
    kills: tuple[float, ...] = (),
    history: dict[float, int] | None = None,
    workload: str = "web",
    namespace: str = "shop",
    node: str = "n1",
    cause: str = "PodLimit",
    advice: tuple[tuple[str, str], ...] = (),
    limit: int | None = None,
) -> Incident:
    """`kills`: ages of the ring in seconds; `history`: age of a full hour -> kills."""
    times = tuple(sorted((NOW - age for age in kills), reverse=True))
    slots = {int((NOW - age) // HOUR * HOUR): number for age, number in (history or {}).items()}
    return Incident(
        namespace=namespace,
        name=name,
        uid=f"uid-{name}",
        version=1,
        node=node,
        pods=(),
        container="c",
        workload=Workload(namespace, "Deployment", workload),
        cause=cause,
        count=sum(slots.values()) or len(times),
        first_seen=None,
        last_seen=times[0] if times else None,
        summary="",
        advice=advice,
        limit_bytes=limit,
        kill_times=times,
        history=tuple(sorted(slots.items())),
    )


def fold(
    *incidents: Incident,
    accounts: tuple[NodeAccount, ...] = (),
    window: float = DAY,
    top: int = 10,
    now: float = NOW,
) -> dict[str, Any]:
    status = fold_report(incidents=incidents, accounts=accounts, window_seconds=int(window), now=now, top=top)
    document = to_document(status)
    OOMReportStatus.parse(document)  # as the API server validates it
    return {name: [] for name in LISTS} | document


def test_kills_are_counted_to_the_second_while_the_ring_knows_them() -> None:
    status = fold(incident(kills=(1 * HOUR, DAY - 1, DAY + 1)))
    assert status["totals"]["kills"] == 2


def test_more_kills_than_the_ring_holds_are_counted_by_the_hour() -> None:
    busy = incident(kills=(10, 20, 30, 40, 50), history={30: 400, 5 * HOUR: 7, 30 * HOUR: 9})
    assert kills_since(busy, start=NOW - DAY, end=NOW) == 407


def test_the_hour_that_the_window_cuts_counts_whole_rather_than_not() -> None:
    middle = NOW + 1800  # the window begins in the middle of an hour
    busy = incident(kills=(10, 20, 30, 40, 50), history={DAY: 3})
    assert kills_since(busy, start=middle - DAY, end=middle) == 8


def test_what_the_ring_proves_to_be_older_is_not_counted() -> None:
    middle = NOW + 1800
    quiet = incident(kills=(DAY - 600,), history={DAY: 3})  # the newest of three was before the window
    assert kills_since(quiet, start=middle - DAY, end=middle) == 0


def test_a_clock_that_runs_ahead_loses_no_kill() -> None:
    assert list(placed_kills(incident(kills=(-300,)), start=NOW - DAY, end=NOW)) == [(NOW, 1)]


def test_without_ring_and_history_the_count_stands_at_the_last_kill() -> None:
    bare = decode_incident(
        {"metadata": {"name": "x"}, "status": {"count": 4, "lastSeen": "2027-01-15T07:30:00Z"}}
    )
    assert kills_since(bare, start=NOW - DAY, end=NOW) == 4


def test_an_incident_without_a_kill_in_the_window_is_none() -> None:
    status = fold(incident(kills=(2 * DAY,), history={2 * DAY: 5}))
    assert status["totals"] == {
        "kills": 0,
        "withoutIncident": 0,
        "incidents": 0,
        "nodes": 0,
        "workloads": 0,
        "unattributed": 0,
        "lostLogRecords": 0,
    }
    assert status["byWorkload"] == []


def test_lists_are_ranked_by_kills_and_cut_at_top_and_the_rest_is_counted() -> None:
    status = fold(
        *(
            incident(f"i{n}", kills=(1,) * (n + 1), workload=f"w{n}", namespace=f"ns{n}", node=f"n{n}")
            for n in range(5)
        ),
        top=2,
    )
    assert [row["name"] for row in status["byWorkload"]] == ["w4", "w3"]
    assert status["byNamespace"] == [{"namespace": "ns4", "kills": 5}, {"namespace": "ns3", "kills": 4}]
    assert status["byNode"] == [{"name": "n4", "kills": 5}, {"name": "n3", "kills": 4}]
    assert status["omitted"] == {"workloads": 3, "namespaces": 3, "nodes": 3}
    assert status["totals"]["kills"] == 15


def test_a_workload_shows_the_cause_of_most_of_its_kills_and_the_limit_of_the_latest() -> None:
    status = fold(
        incident("old", kills=(500, 600), limit=100),
        incident("new", kills=(10,), limit=200),
        incident("other", kills=(1,), cause="NodeMemory", limit=300),
    )
    assert status["byWorkload"] == [
        {
            "namespace": "shop",
            "kind": "Deployment",
            "name": "web",
            "kills": 4,
            "cause": "PodLimit",
            "limitBytes": 200,
        }
    ]


def test_advice_is_ranked_by_the_kills_it_would_have_prevented() -> None:
    fit, leak = ("FitLimit", "set 512Mi"), ("FindLeak", "heap grows")
    status = fold(
        incident("a", kills=(1, 2, 3), workload="a", advice=(fit, leak)),
        incident("b", kills=(4, 5), workload="b", advice=(leak,)),
        incident("c", kills=(6,), workload="c", advice=(("FitLimit", "set 1Gi"),)),
    )
    assert [(row["remedy"], row["kills"], row["workloads"]) for row in status["advice"]] == [
        ("FindLeak", 5, 2),
        ("FitLimit", 4, 2),
    ]
    assert status["advice"][1]["message"] == "Deployment shop/a (3 of 4): set 512Mi"


def test_buckets_are_the_equal_parts_of_the_window_that_have_a_kill() -> None:
    status = fold(incident(kills=(10, HOUR + 10, HOUR + 20, DAY - 10)))
    hours = (DAY, 2 * HOUR, HOUR)
    assert status["buckets"] == [
        {"start": format_time(NOW - age), "kills": kills} for age, kills in zip(hours, (1, 2, 1), strict=True)
    ]
    assert status["buckets"][0]["start"] == status["windowStart"]
    assert status["bucketSeconds"] == HOUR
    assert fold()["buckets"] == []
    assert fold(window=168 * HOUR)["bucketSeconds"] == 7 * HOUR


def test_no_window_has_more_buckets_than_a_report_holds() -> None:
    always = incident(history=dict.fromkeys((age * HOUR for age in range(1, 169)), 1))
    status = fold(always, window=168 * HOUR)
    assert [bucket["kills"] for bucket in status["buckets"]] == [7] * 24


def test_nodes_with_gaps_are_named_the_largest_first() -> None:
    status = fold(
        accounts=(
            NodeAccount(name="fine"),
            NodeAccount(name="few", unattributed=1),
            NodeAccount(name="many", unattributed=9),
            NodeAccount(name="lost", lost_log_records=7),
        )
    )
    assert [row["name"] for row in status["incompleteNodes"]] == ["many", "few", "lost"]
    assert status["totals"]["unattributed"] == 10
    assert status["totals"]["lostLogRecords"] == 7


def test_host_processes_have_no_namespace_among_workloads() -> None:
    host = decode_incident(
        {
            "metadata": {"name": "h", "namespace": "oomkeeper-system"},
            "spec": {"nodeName": "n", "cause": "NodeMemory", "cgroup": "/system.slice/" + "x" * 300},
            "status": {"count": 1, "lastSeen": "2027-01-15T07:30:00Z"},
        }
    )
    (row,) = fold(host)["byWorkload"]
    assert "namespace" not in row
    assert len(row["name"]) <= 253
    assert fold(host)["byNamespace"] == [{"namespace": "oomkeeper-system", "kills": 1}]


def test_the_summary_of_a_policy_knows_the_last_kill() -> None:
    summary = fold_summary(
        incidents=[incident("a", kills=(100,)), incident("b", kills=(50,), cause="NodeMemory")],
        window_seconds=int(DAY),
        window="24h",
        now=NOW,
    )
    document = to_document(summary)
    OOMSummary.parse(document)
    assert document["kills"] == 2
    assert document["lastKill"]["incident"] == "b"
    assert document["byCause"] == [{"cause": "NodeMemory", "kills": 1}, {"cause": "PodLimit", "kills": 1}]


def test_the_largest_report_stays_below_64_kib_and_says_what_it_left_out() -> None:
    status = fold(
        *(
            incident(
                f"i{n}",
                kills=(1,),
                workload=f"{n}-{'w' * 240}",
                namespace=f"{n}-{'s' * 60}",
                node=f"{n}-{'n' * 240}",
                advice=((list(Remedy)[n % 13], "ä" * 600),),
            )
            for n in range(100)
        ),
        accounts=tuple(NodeAccount(name=f"{n}-{'n' * 240}", unattributed=1) for n in range(100)),
        top=50,
    )
    assert size_bytes(status) < MAX_BYTES
    assert status["omitted"]["nodes"] == 100 - len(status["byNode"])
    assert status["totals"]["kills"] == 100


AGES = st.floats(-100, 8 * DAY)
INCIDENTS = st.lists(
    st.builds(
        incident,
        name=st.sampled_from(["a", "b", "c"]),
        kills=st.lists(AGES, min_size=0, max_size=5).map(tuple),
        history=st.dictionaries(AGES, st.integers(1, 50), max_size=10),
        workload=st.sampled_from(["x", "y"]),
        namespace=st.sampled_from(["s", "t"]),
        node=st.sampled_from(["1", "2"]),
        cause=st.sampled_from(list(Cause)),
        limit=st.none() | st.integers(0, 1 << 40),
        advice=st.lists(st.tuples(st.sampled_from(list(Remedy)), st.text(max_size=20)), max_size=3).map(
            tuple
        ),
    ),
    max_size=12,
)


@given(INCIDENTS, st.sampled_from([HOUR, DAY, 168 * HOUR]), st.floats(0, 3599))
def test_every_way_of_counting_gives_the_same_sum(
    incidents: list[Incident], window: float, past: float
) -> None:
    status = fold(*incidents, window=window, top=50, now=NOW + past)
    kills = status["totals"]["kills"]
    for rows in ("byCause", "byNamespace", "byWorkload", "byNode", "buckets"):
        assert sum(row["kills"] for row in status[rows]) == kills, rows
    assert all(row["kills"] <= kills for row in status["advice"])


@given(INCIDENTS)
def test_a_longer_window_never_holds_fewer_kills(incidents: list[Incident]) -> None:
    counts = [fold(*incidents, window=window)["totals"]["kills"] for window in (HOUR, DAY, 168 * HOUR)]
    assert counts == sorted(counts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "pod",
                    "kills",
                    "history",
                    "time",
                    "hour",
                    "advice",
                    "remedy",
                    "count",
                    "evidence",
                    "limitBytes",
                    "lastSeen",
                    "cause",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.fixed_dictionaries({"metadata": st.just({"name": "x", "uid": "u"}), "spec": JSON, "status": JSON}))
def test_whatever_an_incident_holds_it_can_be_read_and_folded(obj: dict[str, Any]) -> None:
    fold(decode_incident(obj))


def hours(**ages: int) -> dict[int, int]:
    """Kills by the hour so many hours ago."""
    return {int(NOW // HOUR * HOUR) - int(age[1:]) * HOUR: kills for age, kills in ages.items()}


def test_kills_whose_incident_is_gone_stay_in_the_totals() -> None:
    """As after `kubectl delete namespace`."""
    kept = incident(node="a", history={2 * HOUR: 7})
    account = NodeAccount(name="a", history=hours(h2=12, h3=7, h99=5))
    status = fold(kept, accounts=(account,))
    assert (status["totals"]["kills"], status["totals"]["withoutIncident"]) == (19, 12)
    assert status["byNode"] == [{"name": "a", "kills": 19}]
    assert sum(row["kills"] for row in status["byWorkload"]) == 7


def test_node_that_has_not_reported_its_hours_yet_removes_nothing() -> None:
    status = fold(incident(node="a", history={2 * HOUR: 7}), accounts=(NodeAccount(name="a"),))
    assert (status["totals"]["kills"], status["totals"]["withoutIncident"]) == (7, 0)
