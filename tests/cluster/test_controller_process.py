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

from .controller_bed import (
    NODES,
    OOM,
    OOM_NODES,
    POLICIES,
    REPORTS,
    ROOT,
    Bed,
    Controller,
    Line,
    bed,
    controller,
    eventually,
)

__all__ = ["bed", "controller"]

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
        "resources": ["oomincidents"],
        "verbs": ["get", "list", "watch", "delete"],
    },
]


def test_killed_in_the_middle_of_a_storm_it_doubles_and_loses_nothing(
    bed: Bed, controller: Controller
) -> None:
    for name in ("n1", "n2", "n3"):
        bed.node(name, pool="a")
    bed.policy("all", sysctls={DUMPS: 1})
    bed.report("cluster")
    for number in range(30):
        bed.kill(f"storm-{number}", node=f"n{number % 3 + 1}", pod=f"web-{number}")
    eventually(bed.events)
    controller.kill()
    told = len(bed.events())

    # The world goes on without it.
    bed.kill("storm-0", node="n1", pod="web-0", count=5)
    bed.kill("late", node="n2", pod="late")
    bed.delete(f"{NODES}/n3")
    bed.node("n4", pool="a")
    bed.policy("all", sysctls={DUMPS: 0})
    bed.policy("new", nodeSelector={"matchLabels": {"pool": "b"}}, sysctls={DUMPS: 1}, priority=200)
    bed.merge(f"{NODES}/n2", {"metadata": {"labels": {"pool": "b"}}})
    assert told <= 30

    controller.start()
    eventually(lambda: bed.sysctls("n1") == {DUMPS: (0, "all")})
    eventually(lambda: bed.sysctls("n2") == {DUMPS: (1, "new")})
    eventually(lambda: bed.sysctls("n4") == {DUMPS: (0, "all")})
    eventually(lambda: bed.find(f"{OOM_NODES}/n3") is None)
    eventually(lambda: bed.status(f"{REPORTS}/cluster")["totals"]["kills"] == 35)
    eventually(lambda: len(bed.events()) == 31)
    assert sorted(event["count"] for event in bed.events()) == [1] * 30 + [5]


def test_a_restart_into_a_cluster_that_is_as_it_should_be_writes_nothing(
    bed: Bed, controller: Controller
) -> None:
    bed.node("n", ready=True)
    bed.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})
    bed.answer("n")
    bed.kill("one", node="n")
    eventually(lambda: bed.conditions(f"{POLICIES}/all")["Ready"] == ("True", "InSync"))
    eventually(lambda: bed.status(f"{POLICIES}/all")["oom"]["kills"] == 1)
    (event,) = eventually(bed.events)
    settled = versions(bed)

    controller.kill()
    controller.start()
    bed.node("mark")  # once it has an OOMNode, the restarted one has run
    eventually(lambda: bed.find(f"{OOM_NODES}/mark"))
    bed.delete(f"{NODES}/mark")
    eventually(lambda: bed.status(f"{POLICIES}/all")["nodes"]["matched"] == 1)
    eventually(lambda: bed.find(f"{OOM_NODES}/mark") is None)
    now = versions(bed)
    assert now[f"{OOM_NODES}/n"] == settled[f"{OOM_NODES}/n"]
    assert bed.events()[0]["metadata"]["resourceVersion"] == event["metadata"]["resourceVersion"]


def test_a_heartbeat_of_a_node_makes_it_write_nothing(bed: Bed, controller: Controller) -> None:
    bed.node("n", ready=True)
    bed.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})
    bed.answer("n")
    eventually(lambda: bed.conditions(f"{POLICIES}/all")["Ready"] == ("True", "InSync"))
    settled = versions(bed)
    for beat in range(20):
        bed.merge(
            f"{NODES}/n/status",
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True", "reason": "Test", "message": f"beat {beat}"}
                    ]
                }
            },
        )
    bed.node("mark", pool="none")
    eventually(lambda: bed.find(f"{OOM_NODES}/mark"))
    assert versions(bed)[f"{OOM_NODES}/n"] == settled[f"{OOM_NODES}/n"]
    # An apply that changes nothing leaves no trace in the object, but costs the API server as much as any.
    bed.policy("another", nodeSelector={"matchLabels": {"pool": "nowhere"}}, sysctls={DUMPS: 1})
    eventually(lambda: bed.status(f"{POLICIES}/another")["nodes"]["matched"] == 0)
    eventually(lambda: "event=run" in controller.log.splitlines()[-1])
    assert " applied=0 " in controller.log.splitlines()[-1]


def test_it_stops_cleanly_when_told_and_leaves_no_mark_on_what_users_own(
    bed: Bed, controller: Controller
) -> None:
    bed.node("n")
    bed.policy("all", sysctls={DUMPS: 1})
    eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})
    for path in (f"{NODES}/n", f"{POLICIES}/all"):
        metadata = bed.get(path)["metadata"]
        assert not metadata.get("finalizers")
        assert not metadata.get("annotations")
    assert controller.stop() == 0
    assert "event=stopped" in controller.log
    controller.start()


def test_it_needs_no_more_rights_than_these(bed: Bed, tmp_path: Path) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    bed.apply(
        f"{rbac}/clusterroles/controller-test",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "controller-test"},
            "rules": MINIMAL_ROLE,
        },
    )
    bed.apply(
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
    bed.apply(
        "/api/v1/namespaces/default/serviceaccounts/controller-test",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "controller-test"}},
    )
    config = yaml.safe_load(bed.plane.kubeconfig.read_text())
    token = bed.plane.service_account_token(name="controller-test")
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    process = Controller(kubeconfig=kubeconfig, log=tmp_path / "controller.log")
    process.start()
    try:
        bed.node("n")
        bed.node("gone")
        bed.policy("all", sysctls={DUMPS: 1})
        bed.report("cluster")
        bed.kill("one", node="n")
        eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})
        eventually(lambda: bed.status(f"{POLICIES}/all")["oom"]["kills"] == 1)
        eventually(lambda: bed.status(f"{REPORTS}/cluster")["totals"]["kills"] == 1)
        eventually(bed.events)
        eventually(lambda: bed.find(f"{OOM_NODES}/gone"))
        bed.delete(f"{NODES}/gone")
        eventually(lambda: bed.find(f"{OOM_NODES}/gone") is None)
        assert process.stop() == 0
        assert "forbidden" not in process.log, process.log
    finally:
        process.end()
        bed.wipe()


def test_a_cut_line_to_the_api_server_is_waited_out_and_nothing_of_it_stays_missed(
    bed: Bed, tmp_path: Path
) -> None:
    line = Line(port=urllib.parse.urlsplit(bed.plane.url).port or 443)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        bed.plane.kubeconfig.read_text().replace(bed.plane.url, f"https://127.0.0.1:{line.port}")
    )
    process = Controller(kubeconfig=kubeconfig, log=tmp_path / "controller.log")
    process.start()
    try:
        for name in ("stays", "goes"):
            bed.node(name)
        bed.policy("all", sysctls={DUMPS: 1})
        bed.policy("away", priority=200, sysctls={DUMPS: 0})
        for name in ("stays", "goes"):
            eventually(lambda name=name: bed.sysctls(name) == {DUMPS: (0, "away")})  # type: ignore[misc]

        line.cut()
        bed.delete(f"{POLICIES}/away")
        bed.delete(f"{NODES}/goes")
        bed.node("comes")
        bed.kill("meanwhile", node="stays")
        time.sleep(2)  # long enough for every watch to have noticed
        assert process.running
        assert bed.sysctls("stays") == {DUMPS: (0, "away")}, "cut off it can write nothing"
        line.mend()

        eventually(lambda: bed.sysctls("stays") == {DUMPS: (1, "all")})
        eventually(lambda: bed.sysctls("comes") == {DUMPS: (1, "all")})
        eventually(lambda: bed.find(f"{OOM_NODES}/goes") is None)
        eventually(lambda: bed.status(f"{POLICIES}/all")["oom"]["kills"] == 1)
        assert process.stop() == 0
    finally:
        process.end()
        line.close()
        bed.wipe()


def test_custom_resources_may_come_late_and_go_and_come_back(bed: Bed, tmp_path: Path) -> None:
    crds = str(ROOT / "crds")
    process = Controller(kubeconfig=bed.plane.kubeconfig, log=tmp_path / "controller.log")
    bed.node("n")
    bed.plane.kubectl("delete", "-f", crds)
    try:
        process.start()
        eventually(lambda: "event=waiting_for_api" in process.log)
        for _ in range(2):
            bed.plane.kubectl("apply", "-f", crds)
            bed.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            eventually(lambda: served(bed))
            bed.policy("all", sysctls={DUMPS: 1})
            eventually(lambda: bed.sysctls("n") == {DUMPS: (1, "all")})
            bed.plane.kubectl("delete", "-f", crds)
        assert process.running
    finally:
        process.end()
        bed.plane.kubectl("apply", "-f", crds)
        bed.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        eventually(lambda: served(bed))
        bed.wipe()


def served(bed: Bed) -> bool:
    """A CRD is Established a moment before its paths answer."""
    kinds = ("oompolicies", "oomnodes", "oomreports", "oomincidents")
    return all(bed.find(f"{OOM}/{kind}") is not None for kind in kinds)


def test_its_health_can_be_asked(bed: Bed, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/healthz"
    process = Controller(kubeconfig=bed.plane.kubeconfig, log=tmp_path / "log", arguments=("--liveness", url))
    process.start()

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(url) as response:
                return response.status == 200
        except OSError:
            return False

    try:
        assert eventually(healthy)
    finally:
        process.end()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("{", "no YAML"),
        ("hello", "no usable current context"),
        ("{}", "no usable current context"),
        ("current-context: a", "no usable current context"),
    ],
)
def test_called_without_a_cluster_it_says_so_in_one_line(
    content: str | None, said: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "oomkeeper.controller", "--kubeconfig", str(kubeconfig)],
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


def versions(bed: Bed) -> dict[str, str]:
    """Path -> resourceVersion of what the controller writes."""
    paths = (POLICIES, OOM_NODES, REPORTS, f"{OOM}/namespaces/default/oomincidents")
    return {
        f"{path}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for path in paths
        for item in bed.list(path)
    }
