"""The OLM bundle on a real API server: the test grants what OLM grants, and runs the controller with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.bundle import BUNDLE
from tests.testbed import control_plane as run_control_plane
from tests.testbed.cache import Say
from tests.waiting import eventually

from .chart_harness import ChartHarness, helm
from .controller_harness import OOM_NODES, Controller, Harness, Json

pytestmark = pytest.mark.cluster

NAMESPACE = "operators"
"""One that the bundle does not suggest."""
IMAGE = "registry.example.com/oomkeeper:1.2.3"
AGENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


def manifest(name: str) -> Json:
    found: Json = yaml.safe_load((BUNDLE / "manifests" / name).read_text())
    return found


def granted(install: Json) -> Iterator[Json]:
    """Yield accounts, roles and bindings as OLM makes them of a ClusterServiceVersion."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for account in ("oomkeeper-agent", "oomkeeper-controller"):
        yield {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": NAMESPACE},
        }
    for part, kind in (("clusterPermissions", "ClusterRole"), ("permissions", "Role")):
        for one in install[part]:
            account = one["serviceAccountName"]
            head: dict[str, Any] = {"name": f"olm-{account}"}
            if kind == "Role":
                head["namespace"] = NAMESPACE
            api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
            yield {**api, "kind": kind, "metadata": head, "rules": one["rules"]}
            yield {
                **api,
                "kind": f"{kind}Binding",
                "metadata": head,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": head["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
            }


@pytest.fixture
def installed(testbed_say: Say, tmp_path: Path) -> Iterator[ChartHarness]:
    """What OLM installs, without the pods."""
    spec = manifest("oomkeeper.clusterserviceversion.yaml")["spec"]["install"]["spec"]
    with run_control_plane(say=testbed_say, audit=True) as plane:
        plane.kubectl("apply", "--filename=-", input=yaml.safe_dump_all(granted(spec)))
        for path in sorted((BUNDLE / "manifests").glob("*.yaml")):
            if "clusterserviceversion" not in path.name:
                plane.kubectl("apply", f"--namespace={NAMESPACE}", f"--filename={path}")
        [deployment] = spec["deployments"]
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": deployment["name"]},
            "spec": deployment["spec"],
        }
        plane.kubectl("apply", f"--namespace={NAMESPACE}", "--filename=-", input=yaml.safe_dump(body))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield ChartHarness(plane=plane, harness=Harness(plane=plane), helm=helm(tmp_path, say=testbed_say))


def test_controller_installs_the_agents_with_what_olm_grants(installed: ChartHarness, tmp_path: Path) -> None:
    plane, harness = installed.plane, installed.harness
    token = plane.service_account_token(name="oomkeeper-controller", namespace=NAMESPACE)
    config = manifest("oomkeeper-own-objects.configmap.yaml")
    (tmp_path / "objects.yaml").write_text(config["data"]["objects.yaml"])
    controller = Controller(
        kubeconfig=plane.kubeconfig_for(user="controller", token=token),
        log=tmp_path / "controller.log",
        arguments=(
            f"--namespace={NAMESPACE}",
            f"--own-objects={tmp_path / 'objects.yaml'}",
            f"--own-image={IMAGE}",
        ),
    )
    controller.start()
    try:
        agent = eventually(lambda: harness.find(f"{AGENTS}/oomkeeper-agent"))
        assert agent is not None
        pod = agent["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "oomkeeper-agent"
        assert [one["image"] for one in pod["containers"]] == [IMAGE]
        deployment = harness.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/oomkeeper-controller")
        [owner] = agent["metadata"]["ownerReferences"]
        assert owner["uid"] == deployment["metadata"]["uid"]
        policy = eventually(lambda: harness.find(f"{POLICIES}/oomkeeper-agent-own-node"))
        assert policy is not None
        [condition] = policy["spec"]["matchConditions"]
        assert f"system:serviceaccount:{NAMESPACE}:oomkeeper-agent" in condition["expression"]
        # It also does its work, and is refused nothing.
        harness.node("n")
        eventually(lambda: harness.find(f"{OOM_NODES}/n"))
        user = f"system:serviceaccount:{NAMESPACE}:oomkeeper-controller"
        refused = [
            one["requestURI"]
            for one in plane.requests(user=user)
            if one.get("responseStatus", {}).get("code") in (401, 403)
        ]
        assert refused == []
    finally:
        controller.end()
