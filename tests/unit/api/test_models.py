"""What the models take, what they refuse, and what they say of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from oomkeeper.api import KINDS, InvalidObjectError, OOMPolicy
from oomkeeper.api.meta import ApiObject
from oomkeeper.api.oompolicy import OOMPolicySpec, OOMPolicyStatus
from oomkeeper.api.problems import format_path, model_in
from oomkeeper.api.scalars import quantity_bytes
from oomkeeper.api.selector import LabelSelector
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from oomkeeper.model.times import duration_seconds
from tests.unit.api.cases import BAD, PLAIN, RANGES, Bad
from tests.unit.api.objects import FULL, HOST_INCIDENT

MODELS = {model.resource.kind: model for model in KINDS}


def models_below(model: type[pydantic.BaseModel]) -> Iterator[type[pydantic.BaseModel]]:
    """The model and every model inside it."""
    yield model
    for field in model.model_fields.values():
        inner = model_in(field.annotation)
        if inner is not None:
            yield from models_below(inner)


@pytest.mark.parametrize("body", FULL, ids=lambda body: body["kind"])
def test_an_object_with_every_field_survives_a_round_trip(body: dict[str, Any]) -> None:
    assert MODELS[body["kind"]].parse(body).to_dict() == body


@pytest.mark.parametrize("body", FULL, ids=lambda body: body["kind"])
def test_the_full_objects_really_set_every_field(body: dict[str, Any]) -> None:
    """Otherwise the round trip through the API server would not show that a field is pruned."""
    # An incident's cgroup excludes its pod, so the host incident sets it.
    bodies = [body, HOST_INCIDENT] if body["kind"] == "OOMIncident" else [body]
    missing = set(_unset(MODELS[body["kind"]], bodies, at="")) - {".metadata"}
    assert not missing


def _unset(model: type[pydantic.BaseModel], values: list[Any], *, at: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        found = [value[key] for value in values if key in value]
        inner = model_in(field.annotation)
        if not found:
            yield f"{at}.{key}"
        elif inner is not None and key != "metadata":
            items = [item for value in found for item in (value if isinstance(value, list) else [value])]
            yield from _unset(inner, items, at=f"{at}.{key}")


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_object_is_refused_where_it_is_wrong_with_what_to_write(case: Bad) -> None:
    body = case.object()
    with pytest.raises(InvalidObjectError) as caught:
        MODELS[body["kind"]].parse(body)
    assert case.path in [format_path(problem.path) for problem in caught.value.problems]
    message = next(p.message for p in caught.value.problems if format_path(p.path) == case.path)
    assert case.says in message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_what_a_bad_object_is_made_from_is_good(case: Bad) -> None:
    MODELS[case.base["kind"]].parse(case.base)


def test_the_table_of_ranges_covers_the_whole_allow_list() -> None:
    assert set(RANGES) == set(SYSCTL_RULES)


@pytest.mark.parametrize("key", RANGES)
def test_both_ends_of_each_range_are_taken(key: str) -> None:
    below, above, _ = RANGES[key]
    everything = {"acknowledge": ["KubeletConflict", "NodePanic", "ContainerLimitPanicsNode"]}
    for value in (below + 1, above - 1):
        body = PLAIN | {"spec": {"sysctls": {key: value}, "panicSafety": everything}}
        assert OOMPolicy.parse(body).to_dict()["spec"]["sysctls"] == {key: value}


def test_an_empty_policy_enforces_nothing_everywhere_by_default() -> None:
    spec = OOMPolicy.parse(PLAIN).spec
    assert (spec.mode, spec.persistence, spec.on_release) == ("Enforce", "Runtime", "Restore")
    assert (spec.priority, spec.suspend, spec.sysctls) == (100, False, {})
    assert spec.rollout.max_concurrent == "100%"
    assert spec.panic_safety.max_panics == 1


def test_a_field_that_is_null_takes_its_default() -> None:
    body = PLAIN | {"spec": {"mode": None, "rollout": None, "nodeSelector": None, "priority": None}}
    assert OOMPolicy.parse(body).spec == OOMPolicySpec()


def test_every_problem_of_an_object_is_named() -> None:
    body = PLAIN | {
        "spec": {"priority": "x", "mode": "y", "sysctls": {"vm.swappiness": 999, "vm.oom_dump_tasks": 7}}
    }
    with pytest.raises(InvalidObjectError) as caught:
        OOMPolicy.parse(body)
    assert [format_path(p.path) for p in caught.value.problems] == [
        "spec.priority",
        "spec.mode",
        "spec.sysctls.vm.oom_dump_tasks",
        "spec.sysctls.vm.swappiness",
    ]
    assert str(caught.value).endswith("(and 3 more)")


def test_code_builds_a_status_by_the_fields_python_names() -> None:
    status = OOMPolicyStatus(observed_generation=3)
    assert status.to_dict()["observedGeneration"] == 3
    with pytest.raises(pydantic.ValidationError):
        OOMPolicyStatus(observed_generation=-1)


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_every_field_of_every_model_is_described(model: type[ApiObject]) -> None:
    silent = [
        f"{inner.__name__}.{name}"
        for inner in models_below(model)
        for name, field in inner.model_fields.items()
        if not (field.description or "").strip()
    ]
    assert not silent


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.resource.kind)
def test_every_model_is_described(model: type[ApiObject]) -> None:
    assert not [inner.__name__ for inner in models_below(model) if not inner.__doc__]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("24h", 86400), ("90s", 90), ("1h30m", 5400), ("1h1m1s", 3661), ("0s", 0), ("100m", 6000)],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "1d", "h", "1 h", "-1h", "1.5h", "30m1h", "1h\n", "1h ", "٣h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("100Mi", 100 * 1024**2),
        ("1.5Gi", 3 * 1024**3 // 2),
        ("2k", 2000),
        ("1Ki", 1024),
        ("1500m", 2),  # a fraction of a byte is rounded up
        ("1E", 10**18),
    ],
)
def test_a_quantity_is_read(text: str, size: int) -> None:
    assert quantity_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1K", "1kib", "10%", "-1", "1 Mi", "Mi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity_bytes(text)


SELECTORS: list[tuple[dict[str, Any], dict[str, str], bool]] = [
    ({}, {"a": "b"}, True),
    ({}, {}, True),
    ({"matchLabels": {"a": "b"}}, {"a": "b", "c": "d"}, True),
    ({"matchLabels": {"a": "b"}}, {"a": "c"}, False),
    ({"matchLabels": {"a": ""}}, {}, False),
    ({"matchLabels": {"a": ""}}, {"a": ""}, True),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}, {"a": "c"}, True),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}, {}, False),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {"a": "b"}, False),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {}, True),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
    (
        {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]},
        {"a": "b"},
        False,
    ),
]


@pytest.mark.parametrize(("selector", "labels", "selected"), SELECTORS)
def test_a_selector_selects_as_kubernetes_does(
    selector: dict[str, Any], labels: dict[str, str], selected: bool
) -> None:
    assert LabelSelector.parse(selector).matches(labels) is selected
