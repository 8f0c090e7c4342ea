"""Limits and requests from incidents: the figure, what is refused, and the formats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oomkeeper.reporting.growth import unbounded_growth
from oomkeeper.reporting.incident_list import read_incidents
from oomkeeper.reporting.limit_change import limit_changes, limit_written_at
from oomkeeper.reporting.recommendation import Recommendation, recommendations
from oomkeeper.reporting.recommendation_formats import helm_values, kustomize_patch, workload_patch
from oomkeeper.reporting.workload_template import (
    ContainerSettings,
    containers_of,
    parse_quantity,
    quantity,
    workload_kind,
)

from .incident_samples import MIB, Json, incident

LAST = datetime(2026, 11, 23, 9, tzinfo=UTC)
LONG = timedelta(minutes=30)


def settings(limit: int = 64, request: int | None = 32, **fields: Any) -> ContainerSettings:
    return ContainerSettings(
        "app", limit * MIB, None if request is None else request * MIB, fields.get("heap_follows")
    )


def recommend(*made: Json, template: list[ContainerSettings] | None = None) -> Recommendation:
    (found,) = recommendations(read_incidents(made), template=[settings()] if template is None else template)
    return found


def test_limit_is_the_largest_usage_on_any_node_plus_a_fifth() -> None:
    one = recommend(incident("a", kills=3), incident("b", node="n2", limit_mib=100, kills=4))
    assert (one.verdict, one.kills, one.peak_bytes) == ("Raise", 7, 100 * MIB)
    assert one.limit_bytes == 120 * MIB
    assert one.request_bytes == 104 * MIB  # what was in use, rounded up
    assert (one.current_limit_bytes, one.current_request_bytes) == (64 * MIB, 32 * MIB)
    assert one.incidents == ("a", "b")


def test_swapped_out_memory_counts() -> None:
    one = recommend(incident(parts=(("Anonymous", 60), ("Swap", 50))))
    assert one.peak_bytes == 96 * MIB


@pytest.mark.parametrize("request_mib", [64, None])
def test_request_that_equals_the_limit_keeps_doing_so(request_mib: int | None) -> None:
    one = recommend(incident(), template=[settings(request=request_mib)])
    assert one.limit_bytes == one.request_bytes == 80 * MIB


def test_limit_that_was_raised_already_is_enough() -> None:
    one = recommend(incident(), template=[settings(limit=128)])
    assert (one.verdict, one.limit_bytes) == ("Enough", None)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (incident(kills=4, ran=LONG, apart=timedelta(hours=1)), "Leak"),
        (incident(kills=4, limits_mib=(96, 96, 64, 64), limit_mib=96), "Leak"),
        (incident(parts=(("SharedMemory", 45),)), "SharedMemory"),
        (incident(parts=(("DirtyPageCache", 70),)), "SlowStorage"),
        (incident(cause="NodeMemory", limit_mib=None), "OtherCause"),
        (incident(container=None), "NoContainer"),
        (incident(container="gone"), "ContainerGone"),
    ],
)
def test_what_a_limit_does_not_fix_is_refused(made: Json, reason: str) -> None:
    one = recommend(made)
    assert (one.verdict, one.reason, one.limit_bytes) == ("Refused", reason, None)
    assert one.message


def test_advice_of_the_incident_explains_the_refusal() -> None:
    one = recommend(incident(parts=(("SharedMemory", 45),), advice=(("MoveTmpfs", "Store them on disk."),)))
    assert one.message == "Store them on disk."


def test_pod_limit_is_the_containers_only_in_a_pod_of_one() -> None:
    made = incident(cause="PodLimit")
    assert recommend(made).verdict == "Raise"
    side = settings()._replace(name="side")
    assert recommend(made, template=[settings(), side]).reason == "PodLimit"


@pytest.mark.parametrize(
    "container",
    [
        {"args": ["-jar", "a.jar", "-XX:MaxRAMPercentage=75.0"]},
        {"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-XX:MaxRAMFraction=1"}]},
        {"env": [{"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}]},
        {"env": [{"name": "DOTNET_GCHeapHardLimitPercent", "value": "50"}]},
    ],
)
def test_heap_that_follows_the_limit_is_refused(container: Json) -> None:
    kind = workload_kind("Deployment")
    assert kind is not None
    obj = {"spec": {"template": {"spec": {"containers": [{"name": "app", **container}]}}}}
    one = recommend(incident(), template=containers_of(obj, kind))
    assert one.reason == "HeapFollowsLimit"


def test_fixed_heap_is_no_reason_to_refuse() -> None:
    kind = workload_kind("Pod")
    assert kind is not None
    obj = {"spec": {"containers": [{"name": "app", "args": ["-Xmx48m"]}]}}
    assert recommend(incident(), template=containers_of(obj, kind)).verdict == "Raise"


def test_template_that_cannot_be_read_is_uncertain() -> None:
    (one,) = recommendations(read_incidents([incident()]), template=None)
    assert one.verdict == "Raise"
    assert "template could not be read" in one.uncertain[0]


def growth(**fields: Any) -> str | None:
    (one,) = read_incidents([incident(**fields)])
    return unbounded_growth(one.status.kills)


def test_growth_over_time_is_told_from_a_peak_at_the_start() -> None:
    hour = timedelta(hours=1)
    assert growth(kills=4, apart=hour, ran=LONG) is not None
    assert growth(kills=4, apart=hour, ran=timedelta(seconds=30)) is None
    assert growth(kills=2, apart=hour, ran=LONG) is None
    assert growth(kills=4, apart=hour, ran=None) is None


def test_formats_carry_the_same_resources() -> None:
    kind = workload_kind("CronJob")
    assert kind is not None
    one = recommend(incident())
    resources = {"requests": {"memory": "64Mi"}, "limits": {"memory": "80Mi"}}
    assert helm_values([one]) == {"resources": resources}
    patch = workload_patch([one], kind=kind, template=[settings()])
    inner = patch["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert inner == {"containers": [{"name": "app", "resources": resources}]}
    full = kustomize_patch([one], kind=kind, name="web", namespace="shop", template=[settings()])
    assert (full["kind"], full["metadata"]) == ("CronJob", {"name": "web", "namespace": "shop"})


@pytest.mark.parametrize(
    ("text", "size"),
    [("64Mi", 64 * MIB), ("1.5Gi", 1536 * MIB), ("100M", 100_000_000), ("128974848", 128_974_848),
     ("1500m", 2), ("1e3", None), ("", None), (None, None), (5, 5), ("-1", None)],
)  # fmt: skip
def test_quantities(text: object, size: int | None) -> None:
    assert parse_quantity(text) == size
    if size is not None:
        assert parse_quantity(quantity(size)) == size


@pytest.mark.parametrize(
    ("now_mib", "limits_mib", "hours_later", "verdict"),
    [
        (64, (64, 64), 1, "Unchanged"),
        (96, (64, 64), 0, "TooEarly"),
        (96, (64, 64), 9, "Stopped"),
        (96, (96, 64), 9, "Continues"),
        (32, (64, 64), 9, "Unchanged"),
    ],
)
def test_kills_since_the_limit_was_raised(
    now_mib: int, limits_mib: tuple[int, ...], hours_later: int, verdict: str
) -> None:
    made = incident(kills=2, apart=timedelta(hours=1), limits_mib=limits_mib, last=LAST)
    changed = LAST.timestamp() + 60
    (one,) = limit_changes(
        read_incidents([made]),
        template=[settings(limit=now_mib)],
        changed_at={"app": changed},
        now=changed + hours_later * 3600 + 5,
    )
    assert one.verdict == verdict, one.message


def test_time_of_the_change_is_that_of_the_fields_manager() -> None:
    container = {'k:{"name":"app"}': {"f:resources": {"f:limits": {"f:memory": {}}}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": container}}}}
    entries = [
        {"manager": "a", "time": "2026-11-23T09:00:00Z", "fieldsV1": fields},
        {"manager": "b", "time": "2026-11-23T10:00:00Z", "fieldsV1": {"f:status": {}}},
    ]
    obj = {"metadata": {"managedFields": entries}}
    path = ("spec", "template", "spec")
    assert limit_written_at(obj, pod_spec=path, settings=settings()) == LAST.timestamp()
    assert limit_written_at({}, pod_spec=path, settings=settings()) is None
