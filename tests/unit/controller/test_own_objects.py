"""The objects that the controller keeps applied: which it takes, and where it puts them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.controller.own_objects import OwnObjects, OwnObjectsError

TEXT = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: oomkeeper-agent}
spec: {template: {spec: {containers: [{name: agent, image: $(IMAGE)}]}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: oomkeeper-agent-own-node}
spec: {expression: "'system:serviceaccount:$(NAMESPACE):oomkeeper-agent'"}
"""


class FakeApi:
    """Notes what is applied."""

    def __init__(self, deployment: Mapping[str, Any] | None) -> None:
        self._deployment = deployment
        self.applied: dict[str, Mapping[str, Any]] = {}

    async def get(self, path: str) -> Mapping[str, Any] | None:
        assert path == "/apis/apps/v1/namespaces/ops/deployments/oomkeeper-controller"
        return self._deployment

    async def apply(self, path: str, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        self.applied[path] = obj
        return obj


def read(folder: Path, text: str) -> OwnObjects:
    (folder / "objects.yaml").write_text(text)
    return OwnObjects.read(folder / "objects.yaml", namespace="ops", image="registry/oomkeeper:1")


def applied(folder: Path, *, deployment: Mapping[str, Any] | None = None) -> dict[str, Mapping[str, Any]]:
    api = FakeApi(deployment)
    asyncio.run(read(folder, TEXT).apply(api))  # type: ignore[arg-type]
    return api.applied


def test_namespace_and_image_are_put_in(tmp_path: Path) -> None:
    agent, policy = applied(tmp_path).items()
    assert agent[0] == "/apis/apps/v1/namespaces/ops/daemonsets/oomkeeper-agent"
    assert agent[1]["metadata"] == {"name": "oomkeeper-agent", "namespace": "ops"}
    assert agent[1]["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/oomkeeper:1"
    assert policy[0].endswith("/v1/validatingadmissionpolicies/oomkeeper-agent-own-node")
    assert policy[1]["spec"]["expression"] == "'system:serviceaccount:ops:oomkeeper-agent'"


def test_daemon_set_is_deleted_with_the_controller(tmp_path: Path) -> None:
    agent, policy = applied(tmp_path, deployment={"metadata": {"uid": "u"}}).values()
    assert agent["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "oomkeeper-controller", "uid": "u"}
    ]
    assert "ownerReferences" not in policy["metadata"]


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\nmetadata: {name: x}",
        "kind: ClusterRoleBinding\nmetadata: {name: x}",
        "kind: DaemonSet\nmetadata: {name: ../../x}",
        "kind: DaemonSet\nmetadata: {}",
        "kind: DaemonSet",
        "- list",
        "text",
        "a: [",
    ],
)
def test_other_objects_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(OwnObjectsError, match="--own-objects"):
        read(tmp_path, text)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OwnObjectsError, match="No such file"):
        OwnObjects.read(tmp_path / "none", namespace="ops", image="x")
