"""Pods as the agent knows them: quantities, limits, workloads, container ids over restarts."""

import itertools
import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomkeeper.agent.pod_object import decode
from oomkeeper.agent.pods import KEEP_DELETED_SECONDS, Pod, PodTable
from oomkeeper.agent.quantity import quantity_bytes
from oomkeeper.model.pod import Owner

from .pod_samples import IDS, UID, ended, parse_pod, pod, pod_object, running, status, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None), ("0", 0), ("128974848", 128974848), (77, 77), ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("123Mi", 123 << 20), ("1.5Gi", 3 << 29), (".5Ki", 512), ("1E", 10**18), ("1E3", 1000), ("1e-3", 1),
        ("128974848000m", 128974848), ("1m", 1), ("1001m", 2), ("9007199254740993", 9007199254740993),
        ("", None), ("Mi", None), ("1mi", None), ("1..2", None), ("-1", None), ("1 Gi", None), ("٣", None),
        ("1KB", None), ("9" * 60, (1 << 63) - 1), ("9e999", (1 << 63) - 1), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_quantity_is_whole_bytes_rounded_up(text, expected) -> None:
    assert quantity_bytes(text) == expected


@given(st.text(max_size=12))
def test_no_text_makes_quantity_raise(text: str) -> None:
    quantity_bytes(text)


@given(number=st.decimals(0, 10**6, places=3), power=st.integers(1, 4))
def test_binary_suffixes_are_exact(number, power) -> None:
    assert quantity_bytes(f"{number}{'KMGT'[power - 1]}i") == math.ceil(Fraction(number) * 1024**power)


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (None, None),
        (
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f", "uid": "u"},
            Owner(group="apps", kind="ReplicaSet", name="web-5d4f", uid="u", version="v1"),
        ),
        (
            {"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "n"},
            Owner(group="", kind="Node", name="node-a", uid="n", version="v1"),
        ),
    ],
)
def test_owner_is_the_reference_marked_as_controller(owner, expected) -> None:
    owners = [{"kind": "Other", "name": "x"}, *([{**owner, "controller": True}] if owner else [])]
    assert pod(ownerReferences=owners).facts.owner == expected


HASH = "f" * 32
OTHER_UID = "0a1b2c3d-9999-2222-3333-444455556666"
MIRROR = {"kubernetes.io/config.hash": HASH, "kubernetes.io/config.mirror": HASH}
OWNED = [{"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "n", "controller": True}]


def mirror(uid: str = UID, *, container_id: str = IDS[0], **fields: Any) -> Pod:
    """A static pod's mirror as kubelet makes it."""
    meta = {"annotations": MIRROR, "ownerReferences": OWNED, **fields}
    return pod(status("app", now=running(), container_id=container_id), uid=uid, **meta)


def test_cgroup_of_a_static_pod_has_the_hash_of_its_manifest() -> None:
    facts = mirror().facts
    assert (facts.uid, facts.cgroup_uid) == (UID, HASH)
    assert table(mirror()).find(HASH) == table(mirror()).find(UID) == mirror()


@pytest.mark.parametrize(
    "meta",
    [
        {"annotations": {"kubernetes.io/config.hash": HASH}},
        {"annotations": MIRROR},
        {"annotations": MIRROR | {"kubernetes.io/config.mirror": "other"}, "ownerReferences": OWNED},
        {"annotations": MIRROR, "ownerReferences": [OWNED[0] | {"name": "node-b"}]},
        {"annotations": MIRROR, "ownerReferences": [OWNED[0] | {"apiVersion": "example.com/v1"}]},
        {"annotations": MIRROR, "ownerReferences": [OWNED[0] | {"kind": "ReplicaSet"}]},
        {"annotations": MIRROR, "ownerReferences": [OWNED[0] | {"controller": False}]},
    ],
)
def test_pod_that_only_carries_a_hash_is_no_static_pod(meta: dict[str, Any]) -> None:
    made = pod(status("app", now=running(), container_id=IDS[0]), **meta)
    assert made.facts.cgroup_uid == UID
    assert table(made).find(HASH) is None


def test_mirror_pod_without_a_container_of_kubelets_is_not_believed() -> None:
    """Anyone who may create pods can make one; kubelet never runs it."""
    made = pod(annotations=MIRROR, ownerReferences=OWNED)
    assert table(made).find(HASH) is None


@pytest.mark.parametrize("forged_first", [True, False])
def test_hash_equal_to_another_pods_uid_does_not_take_over_that_pod(forged_first: bool) -> None:
    """A tenant's pod in namespace dev that carries the uid of shop/web-1."""
    forged = mirror(
        OTHER_UID,
        namespace="dev",
        annotations={"kubernetes.io/config.hash": UID, "kubernetes.io/config.mirror": UID},
    )
    genuine = pod()
    pods = table(*([forged, genuine] if forged_first else [genuine, forged]))
    found = pods.find(UID)
    assert found is not None
    assert (found.facts.namespace, found.facts.uid) == ("shop", UID)


def test_second_mirror_pod_does_not_take_over_a_hash_while_the_first_is_there() -> None:
    pods = table(mirror(), mirror(OTHER_UID, namespace="dev"))
    found = pods.find(HASH)
    assert found is not None
    assert found.facts.uid == UID


def test_mirror_pod_made_anew_takes_over_the_hash_and_the_known_containers() -> None:
    pods = table(mirror())
    pods.remove(UID, now=0.0)
    pods.put(mirror(OTHER_UID, container_id=IDS[1]))
    found = pods.find(HASH)
    assert found is not None
    assert (found.facts.uid, found.facts.containers[0].container_ids) == (OTHER_UID, (IDS[1], IDS[0]))
    pods.sweep(now=1.0 + KEEP_DELETED_SECONDS)
    assert pods.find(HASH) == found


def test_empty_object_and_one_of_nulls_are_pods_of_nothing() -> None:
    assert parse_pod({}).facts.containers == ()
    nulls = {"metadata": None, "spec": {"containers": None}, "status": {"containerStatuses": None}}
    assert parse_pod(nulls).facts.name == ""


def test_limit_in_force_wins_over_the_one_asked_for() -> None:
    obj = pod_object(
        status("app", now=running(), container_id=IDS[0]) | {"resources": {"limits": {"memory": "96Mi"}}},
    )
    assert parse_pod(obj).facts.containers[0].limit_bytes == 96 << 20
    assert pod().facts.containers[0].limit_bytes == 64 << 20


def test_sum_that_kubelet_reports_is_no_limit_of_the_pods_own() -> None:
    obj = pod_object()
    obj["status"]["resources"] = {"limits": {"memory": "64Mi"}}
    assert parse_pod(obj).facts.limit_bytes is None


def test_resize_of_the_pods_own_limit_that_is_in_force_wins() -> None:
    obj = pod_object()
    obj["spec"]["resources"] = {"limits": {"memory": "128Mi"}}
    assert parse_pod(obj).facts.limit_bytes == 128 << 20
    obj["status"]["resources"] = {"limits": {"memory": "96Mi"}}
    assert parse_pod(obj).facts.limit_bytes == 96 << 20


def test_limits_of_spec_and_status_are_kept_apart() -> None:
    obj = pod_object(
        status("app", now=running(), container_id=IDS[0]) | {"resources": {"limits": {"memory": "96Mi"}}},
    )
    obj["spec"]["resources"] = {"limits": {"memory": "256Mi"}}
    obj["spec"]["overhead"] = {"memory": "16Mi", "cpu": "250m"}
    obj["spec"]["initContainers"] = [{"name": "proxy", "restartPolicy": "Always"}, {"name": "init"}]
    obj["status"]["resources"] = {"limits": {"memory": "128Mi"}}
    facts = parse_pod(obj).facts
    assert (facts.spec_limit_bytes, facts.status_limit_bytes) == (256 << 20, 128 << 20)
    assert facts.overhead_bytes == 16 << 20
    app, proxy, init = facts.containers
    assert (app.spec_limit_bytes, app.status_limit_bytes) == (64 << 20, 96 << 20)
    assert (app.sidecar, proxy.sidecar, init.sidecar) == (False, True, False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"conditions": [{"type": "PodResizePending", "status": "False", "reason": "Deferred"}]}, None),
        (
            {
                "conditions": [
                    {"type": "PodResizeInProgress", "status": "True"},
                    {"type": "PodResizePending", "status": "True", "reason": "Infeasible"},
                ]
            },
            "PodResizePending (Infeasible)",
        ),
        ({"conditions": [{"type": "PodResizeInProgress", "status": "True"}]}, "PodResizeInProgress"),
        ({"resize": "Deferred"}, "status.resize Deferred"),
        ({"resize": "x" * 999}, f"status.resize {'x' * 64}"),
    ],
)
def test_resize_that_kubelet_has_not_finished_is_known(
    fields: dict[str, object], expected: str | None
) -> None:
    obj = pod_object()
    obj["status"] |= fields
    assert parse_pod(obj).facts.resize == expected


def test_changes_of_limits_are_remembered_with_their_time() -> None:
    now = [1_800_000_000.0]
    pods = PodTable(wall=lambda: now[0])
    for limit in ("64Mi", "64Mi", *(f"{size}Mi" for size in range(100, 112))):
        obj = pod_object()
        obj["spec"]["containers"][0]["resources"]["limits"]["memory"] = limit
        pods.put(parse_pod(obj))
        now[0] += 1
    found = pods.find(UID)
    assert found is not None
    changes = found.facts.limit_changes
    assert [one.after_bytes >> 20 for one in changes] == [*range(104, 112)]
    assert changes[-1].before_bytes == 110 << 20
    assert changes[-1].at == "2027-01-15T08:00:13.000000Z"


def test_field_of_another_type_than_the_apis_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"Pod: Expected .*metadata.labels"):
        parse_pod({"metadata": {"labels": "none"}})


def test_nothing_of_annotations_and_environment_is_kept() -> None:
    obj = pod_object(annotations={"note": "x" * 1000})
    obj["spec"]["containers"][0]["env"] = [{"name": "A", "value": "y" * 1000}]
    kept = repr(decode(json.dumps(obj).encode()))
    assert "xxx" not in kept
    assert "yyy" not in kept


def test_every_run_of_a_container_is_known_by_its_id_for_some_restarts() -> None:
    pods = table(pod(status("app", now=running(), container_id=IDS[0])))
    for before, after in itertools.pairwise(IDS):
        pods.put(pod(status("app", now=running(), container_id=after, last=ended(before))))
    found = pods.find(UID)
    assert found is not None
    assert found.facts.containers[0].container_ids == tuple(reversed(IDS))
    assert found.states[IDS[-1]].running
    assert found.states[IDS[2]].reason == "OOMKilled"


def test_deleted_pod_is_known_for_ten_minutes() -> None:
    pods = table(pod())
    pods.replace([], now=100.0)
    pods.sweep(now=100.0 + KEEP_DELETED_SECONDS)
    assert pods.find(UID) is not None
    pods.sweep(now=101.0 + KEEP_DELETED_SECONDS)
    assert pods.find(UID) is None


def test_pod_that_returns_is_not_swept() -> None:
    pods = table(pod())
    pods.remove(UID, now=0.0)
    pods.put(pod())
    pods.sweep(now=10 * KEEP_DELETED_SECONDS)
    assert pods.find(UID) is not None
