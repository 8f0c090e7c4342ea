"""Pods as the agent knows them: quantities, limits, workloads, container ids over restarts."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.agent.pods import KEEP_DELETED_SECONDS, parse_pod, quantity_bytes

from .pod_samples import IDS, UID, ended, pod, pod_object, running, status, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None), ("0", 0), ("128974848", 128974848), (77, 77), ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("123Mi", 123 << 20), ("1.5Gi", 3 << 29), (".5Ki", 512), ("1E", 10**18), ("1E3", 1000), ("1e-3", 1),
        ("128974848000m", 128974848), ("1m", 1), ("1001m", 2), ("9007199254740993", 9007199254740993),
        ("", None), ("Mi", None), ("1mi", None), ("1..2", None), ("-1", None), ("1 Gi", None), ("٣", None),
        ("1KB", None),
    ],
)  # fmt: skip
def test_a_quantity_in_whole_bytes_rounded_up(text, expected) -> None:
    assert quantity_bytes(text) == expected


@given(st.text(max_size=12))
def test_no_text_makes_it_raise(text: str) -> None:
    quantity_bytes(text)


@given(number=st.decimals(0, 10**6, places=3), power=st.integers(1, 4))
def test_binary_suffixes_are_exact(number, power) -> None:
    assert quantity_bytes(f"{number}{'KMGT'[power - 1]}i") == math.ceil(Fraction(number) * 1024**power)


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (None, {}, ("Pod", "web-1")),
        ({"kind": "ReplicaSet", "name": "web-5d4f"}, {"pod-template-hash": "5d4f"}, ("Deployment", "web")),
        ({"kind": "ReplicaSet", "name": "bare"}, {}, ("ReplicaSet", "bare")),
        ({"kind": "StatefulSet", "name": "db"}, {}, ("StatefulSet", "db")),
        ({"kind": "Job", "name": "nightly-29384920"}, {}, ("CronJob", "nightly")),
        ({"kind": "Job", "name": "once"}, {}, ("Job", "once")),
        ({"kind": "Node", "name": "node-a"}, {}, ("Pod", "web-1")),
    ],
)
def test_the_workload_is_read_from_names_that_controllers_make(owner, labels, expected) -> None:
    owners = [{"kind": "Other", "name": "x"}, *([{**owner, "controller": True}] if owner else [])]
    facts = pod(ownerReferences=owners, labels=labels).facts
    assert (facts.workload_kind, facts.workload_name) == expected


def test_a_static_pods_cgroup_has_the_hash_of_its_manifest() -> None:
    facts = pod(annotations={"kubernetes.io/config.hash": "f" * 32}).facts
    assert (facts.uid, facts.cgroup_uid) == (UID, "f" * 32)


def test_an_empty_object_and_one_of_nulls_are_pods_of_nothing() -> None:
    assert parse_pod({}).facts.containers == ()
    nulls = {"metadata": None, "spec": {"containers": None}, "status": {"containerStatuses": None}}
    assert parse_pod(nulls).facts.name == ""


def test_the_limit_in_force_wins_over_the_one_asked_for() -> None:
    obj = pod_object(
        status("app", now=running(), container_id=IDS[0]) | {"resources": {"limits": {"memory": "96Mi"}}},
    )
    assert parse_pod(obj).facts.containers[0].limit_bytes == 96 << 20
    assert pod().facts.containers[0].limit_bytes == 64 << 20


def test_every_run_of_a_container_is_known_by_its_id_for_some_restarts() -> None:
    pods = table(pod(status("app", now=running(), container_id=IDS[0])))
    for before, after in itertools.pairwise(IDS):
        pods.put(pod(status("app", now=running(), container_id=after, last=ended(before))))
    found = pods.find(UID)
    assert found is not None
    assert found.facts.containers[0].container_ids == tuple(reversed(IDS))
    assert found.states[IDS[-1]].running
    assert found.states[IDS[2]].reason == "OOMKilled"


def test_a_deleted_pod_is_known_for_a_while() -> None:
    pods = table(pod())
    pods.replace([], now=100.0)
    pods.sweep(now=100.0 + KEEP_DELETED_SECONDS)
    assert pods.find(UID) is not None
    pods.sweep(now=101.0 + KEEP_DELETED_SECONDS)
    assert pods.find(UID) is None


def test_a_pod_that_comes_back_is_not_swept() -> None:
    pods = table(pod())
    pods.remove(UID, now=0.0)
    pods.put(pod())
    pods.sweep(now=10 * KEEP_DELETED_SECONDS)
    assert pods.find(UID) is not None
