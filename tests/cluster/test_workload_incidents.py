"""Incidents per workload on a real node: retries, rollouts and a crash loop count in one object, and a report
keeps its totals when a namespace is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import await_reports
from tests.kernel.harness import why_not as why_no_kills
from tests.testbed import NativeNode
from tests.testbed.node import why_not
from tests.waiting import eventually

from .agent_harness import EAT, container, counted, incidents, install, namespace, only_incident, pod
from .controller_harness import REPORTS, Harness, Json
from .test_main_job import agent as agent
from .test_main_job import create

_reason = why_not() or why_no_kills()
pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(_reason is not None, reason=_reason or ""),
    pytest.mark.usefixtures("agent"),
]


@pytest.fixture(scope="module")
def harness(native_node: NativeNode) -> Harness:
    return install(native_node.control_plane)


@pytest.fixture
def space(native_node: NativeNode, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = namespace(
        native_node.control_plane, f"workload-{abs(hash((request.node.name, tmp_path))) % 10**8}"
    )
    await_reports(5)
    yield name
    native_node.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def template(*containers: Json, restart: str) -> Json:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": pod("unused", *containers, restart=restart)["spec"],
    }


def test_job_with_retries_is_one_incident(native_node: NativeNode, harness: Harness, space: str) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate-20261127"},
        "spec": {
            "completions": 3,
            "parallelism": 3,
            "backoffLimit": 2,
            "template": template(container("app", EAT), restart="Never"),
        },
    }
    create(native_node, space, job)

    def pods_with_kills() -> set[str]:
        return {kill["pod"] for one in incidents(harness, space) for kill in one["status"]["kills"]}

    eventually(lambda: counted(harness, space) >= 3, seconds=120)
    eventually(lambda: len(pods_with_kills()) >= 3)
    subjects = {
        (one["spec"]["workload"]["kind"], one["spec"]["workload"]["name"])
        for one in incidents(harness, space)
    }
    assert subjects == {("Job", "migrate-20261127")}
    # Of one cause and container there is one object, however many pods there were.
    keys = [(one["spec"]["cause"], one["spec"].get("container")) for one in incidents(harness, space)]
    assert len(keys) == len(set(keys))


def test_deployment_over_rollouts_is_one_incident(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(container("app", EAT), restart="Always"),
        },
    }
    create(native_node, space, deployment)
    first = only_incident(harness, space, visibility="Reported")
    assert first["spec"]["workload"] == {"kind": "Deployment", "name": "web"}
    before = {kill["pod"] for kill in first["status"]["kills"]}
    native_node.kubectl("-n", space, "rollout", "restart", "deployment/web")

    def of_the_new_pod() -> Json | None:
        [one] = incidents(harness, space)
        return one if {kill["pod"] for kill in one["status"]["kills"]} - before else None

    again = eventually(of_the_new_pod, seconds=120)
    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert all(kill["visibility"] != "Invisible" for kill in again["status"]["kills"] if "visibility" in kill)
    found = native_node.kubectl(
        "-n", space, "get", "oomi", "-o", "name", "-l",
        "oomkeeper.dev/workload-kind=Deployment,oomkeeper.dev/workload=web",
    )  # fmt: skip
    assert found.strip().endswith(again["metadata"]["name"])


def test_totals_survive_the_deletion_of_a_namespace(
    native_node: NativeNode, harness: Harness, space: str
) -> None:
    harness.report("all", window="24h", refreshInterval="10s")
    try:
        create(native_node, space, pod("lone", container("app", EAT)))
        only_incident(harness, space, count=1)
        before = eventually(lambda: harness.status(f"{REPORTS}/all")["totals"]["kills"])
        native_node.kubectl("delete", "namespace", space, "--wait=true", "--timeout=90s")

        def kept() -> bool:
            totals = harness.status(f"{REPORTS}/all")["totals"]
            return bool(totals["withoutIncident"] >= 1 and totals["kills"] >= before)

        eventually(kept, seconds=60)
    finally:
        harness.delete(f"{REPORTS}/all")
