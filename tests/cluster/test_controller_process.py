"""The controller as a process: killed in the middle, idle, stopped, called in vain, and with no more
rights than it needs."""

import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.testbed.ports import free_ports
from tests.waiting import eventually

from .controller_harness import (
    NODES,
    OOM,
    OOM_NODES,
    POLICIES,
    REPORTS,
    ROOT,
    Controller,
    Harness,
    Line,
    controller,
    harness,
    served,
)

__all__ = ["controller", "harness"]

pytestmark = pytest.mark.cluster

DUMPS = "vm.oom_dump_tasks"

MINIMAL_ROLE = [
    {"apiGroups": [""], "resources": ["nodes", "namespaces"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    {
        "apiGroups": ["oomkeeper.dev"],
        "resources": ["oompolicies", "oomreports"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["oomkeeper.dev"],
        "resources": ["oompolicies/status", "oomreports/status"],
        "verbs": ["patch"],
    },
    {
        "apiGroups": ["oomkeeper.dev"],
        "resources": ["oomnodes"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {
        "apiGroups": ["oomkeeper.dev"],
        "resources": ["oomincidents", "containerkills"],
        "verbs": ["get", "list", "watch", "delete"],
    },
]


def test_kill_minus_9_in_a_storm_loses_and_doubles_nothing(harness: Harness, controller: Controller) -> None:
    for name in ("n1", "n2", "n3"):
        harness.node(name, pool="a")
    harness.policy("all", sysctls={DUMPS: 1})
    harness.report("cluster")
    for number in range(30):
        harness.kill(f"storm-{number}", node=f"n{number % 3 + 1}", pod=f"web-{number}")
    eventually(harness.events)
    controller.kill()
    published = len(harness.events())

    # The world goes on without it.
    harness.kill("storm-0", node="n1", pod="web-0", count=5)
    harness.kill("late", node="n2", pod="late")
    harness.delete(f"{NODES}/n3")
    harness.node("n4", pool="a")
    harness.policy("all", sysctls={DUMPS: 0})
    harness.policy("new", nodeSelector={"matchLabels": {"pool": "b"}}, sysctls={DUMPS: 1}, priority=200)
    harness.merge(f"{NODES}/n2", {"metadata": {"labels": {"pool": "b"}}})
    assert published <= 30

    controller.start()
    eventually(lambda: harness.sysctls("n1") == {DUMPS: (0, "all")})
    eventually(lambda: harness.sysctls("n2") == {DUMPS: (1, "new")})
    eventually(lambda: harness.sysctls("n4") == {DUMPS: (0, "all")})
    eventually(lambda: harness.find(f"{OOM_NODES}/n3") is None)
    eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"]["kills"] == 35)
    eventually(lambda: sorted(event["count"] for event in harness.events()) == [1] * 30 + [5])


def test_restart_into_a_settled_cluster_writes_nothing(harness: Harness, controller: Controller) -> None:
    harness.node("n", ready=True)
    harness.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})
    harness.answer("n")
    harness.kill("one", node="n")
    eventually(lambda: harness.conditions(f"{POLICIES}/all")["Ready"] == ("True", "InSync"))
    eventually(lambda: harness.status(f"{POLICIES}/all")["oom"]["kills"] == 1)
    (event,) = eventually(harness.events)
    settled = versions(harness)

    controller.kill()
    controller.start()
    harness.node("mark")  # once it has an OOMNode, the restarted one has run
    eventually(lambda: harness.find(f"{OOM_NODES}/mark"))
    harness.delete(f"{NODES}/mark")
    eventually(lambda: harness.status(f"{POLICIES}/all")["nodes"]["matched"] == 1)
    eventually(lambda: harness.find(f"{OOM_NODES}/mark") is None)
    now = versions(harness)
    assert now[f"{OOM_NODES}/n"] == settled[f"{OOM_NODES}/n"]
    assert harness.events()[0]["metadata"]["resourceVersion"] == event["metadata"]["resourceVersion"]


def test_node_heartbeats_cause_no_writes(harness: Harness, controller: Controller) -> None:
    harness.node("n", ready=True)
    harness.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})
    harness.answer("n")
    eventually(lambda: harness.conditions(f"{POLICIES}/all")["Ready"] == ("True", "InSync"))
    settled = versions(harness)
    for beat in range(20):
        harness.merge(
            f"{NODES}/n/status",
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True", "reason": "Test", "message": f"beat {beat}"}
                    ]
                }
            },
        )
    harness.node("mark", pool="none")
    eventually(lambda: harness.find(f"{OOM_NODES}/mark"))
    assert versions(harness)[f"{OOM_NODES}/n"] == settled[f"{OOM_NODES}/n"]

    def runs() -> list[str]:
        complete = controller.log.rpartition("\n")[0]
        return [line for line in complete.splitlines() if 'msg="run finished"' in line]

    # An apply that changes nothing leaves no trace in the object, but costs the API server as much as any.
    eventually(lambda: " applied=0 " in runs()[-1] and " writes_pending=0" in runs()[-1])
    before = len(runs())
    harness.policy("another", nodeSelector={"matchLabels": {"pool": "nowhere"}}, sysctls={DUMPS: 1})
    eventually(lambda: harness.status(f"{POLICIES}/another")["nodes"]["matched"] == 0)
    eventually(lambda: runs()[before:])
    assert all(" applied=0 " in line for line in runs()[before:])


def test_sigterm_stops_it_and_users_objects_stay_unmarked(harness: Harness, controller: Controller) -> None:
    harness.node("n")
    harness.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})
    for path in (f"{NODES}/n", f"{POLICIES}/all"):
        metadata = harness.get(path)["metadata"]
        assert not metadata.get("finalizers")
        assert not metadata.get("annotations")
    assert controller.stop() == 0
    assert 'msg="controller stopped"' in controller.log
    controller.start()


def test_minimal_role_is_sufficient(harness: Harness, tmp_path: Path) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    harness.apply(
        f"{rbac}/clusterroles/controller-test",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "controller-test"},
            "rules": MINIMAL_ROLE,
        },
    )
    harness.apply(
        f"{rbac}/clusterrolebindings/controller-test",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "controller-test"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "controller-test",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "controller-test", "namespace": "default"}],
        },
    )
    harness.apply(
        "/api/v1/namespaces/default/serviceaccounts/controller-test",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "controller-test"}},
    )
    config = yaml.safe_load(harness.plane.kubeconfig.read_text())
    token = harness.plane.service_account_token(name="controller-test")
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    process = Controller(kubeconfig=kubeconfig, log=tmp_path / "controller.log")
    process.start()
    try:
        harness.node("n")
        harness.node("gone")
        harness.policy("all", sysctls={DUMPS: 1})
        harness.report("cluster")
        harness.kill("one", node="n")
        eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})
        eventually(lambda: harness.status(f"{POLICIES}/all")["oom"]["kills"] == 1)
        eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"]["kills"] == 1)
        eventually(harness.events)
        eventually(lambda: harness.find(f"{OOM_NODES}/gone"))
        harness.delete(f"{NODES}/gone")
        eventually(lambda: harness.find(f"{OOM_NODES}/gone") is None)
        assert process.stop() == 0
        assert "forbidden" not in process.log, process.log
    finally:
        process.end()
        harness.wipe()


def test_changes_during_an_outage_of_the_api_server_are_caught_up(harness: Harness, tmp_path: Path) -> None:
    line = Line(port=urllib.parse.urlsplit(harness.plane.url).port or 443)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        harness.plane.kubeconfig.read_text().replace(harness.plane.url, f"https://127.0.0.1:{line.port}")
    )
    process = Controller(kubeconfig=kubeconfig, log=tmp_path / "controller.log")
    process.start()
    try:
        for name in ("stays", "goes"):
            harness.node(name)
        harness.policy("all", sysctls={DUMPS: 1})
        harness.policy("away", priority=200, sysctls={DUMPS: 0})
        for name in ("stays", "goes"):
            eventually(lambda name=name: harness.sysctls(name) == {DUMPS: (0, "away")})  # type: ignore[misc]

        line.cut()
        harness.delete(f"{POLICIES}/away")
        harness.delete(f"{NODES}/goes")
        harness.node("comes")
        harness.kill("meanwhile", node="stays")
        time.sleep(2)  # long enough for every watch to have noticed
        assert process.running
        assert harness.sysctls("stays") == {DUMPS: (0, "away")}, "cut off it can write nothing"
        line.mend()

        eventually(lambda: harness.sysctls("stays") == {DUMPS: (1, "all")})
        eventually(lambda: harness.sysctls("comes") == {DUMPS: (1, "all")})
        eventually(lambda: harness.find(f"{OOM_NODES}/goes") is None)
        eventually(lambda: harness.status(f"{POLICIES}/all")["oom"]["kills"] == 1)
        assert process.stop() == 0
    finally:
        process.end()
        line.close()
        harness.wipe()


def test_custom_resources_may_be_created_late_and_recreated(harness: Harness, tmp_path: Path) -> None:
    crds = str(ROOT / "crds")
    process = Controller(kubeconfig=harness.plane.kubeconfig, log=tmp_path / "controller.log")
    harness.node("n")
    harness.plane.kubectl("delete", "-f", crds)
    try:
        process.start()
        eventually(lambda: 'msg="first list failed"' in process.log)
        for _ in range(2):
            harness.plane.kubectl("apply", "-f", crds)
            harness.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
            eventually(lambda: served(harness))
            harness.policy("all", sysctls={DUMPS: 1})
            eventually(lambda: harness.sysctls("n") == {DUMPS: (1, "all")})
            harness.plane.kubectl("delete", "-f", crds)
        assert process.running
    finally:
        process.end()
        harness.plane.kubectl("apply", "-f", crds)
        harness.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        eventually(lambda: served(harness))
        harness.wipe()


def test_health_endpoint_answers_without_logging_each_probe(harness: Harness, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/healthz"
    process = Controller(
        kubeconfig=harness.plane.kubeconfig, log=tmp_path / "log", arguments=("--liveness", url)
    )
    process.start()

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(url) as response:
                return response.status == 200
        except OSError:
            return False

    try:
        assert eventually(healthy)
        assert healthy()
    finally:
        process.end()
    assert "/healthz" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("{", "not YAML"),
        ("hello", "not a kubeconfig"),
        ("{}", "current-context is not set"),
        ("current-context: a", "'a' is not defined"),
    ],
)
def test_bad_kubeconfig_gives_one_line_on_stderr(content: str | None, said: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "oomkeeper", "controller", "--kubeconfig", str(kubeconfig)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert str(kubeconfig) in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def versions(harness: Harness) -> dict[str, str]:
    """Path -> resourceVersion of what the controller writes."""
    paths = (POLICIES, OOM_NODES, REPORTS, f"{OOM}/namespaces/default/oomincidents")
    return {
        f"{path}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for path in paths
        for item in harness.list(path)
    }
