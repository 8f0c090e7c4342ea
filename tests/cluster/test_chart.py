"""The chart: what helm makes of it, and what the API server then lets the operator's two accounts do."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest

from tests.kernel.harness import Eater, await_reports, cgroups
from tests.kernel.harness import why_not as why_no_kills
from tests.testbed.cache import Say
from tests.waiting import eventually

from .agent_harness import Agent
from .chart_harness import (
    CHART,
    NAMESPACE,
    RELEASE,
    ChartHarness,
    Helm,
    HelmError,
    chart_on_an_api_server,
    object_named,
    of_kind,
    rules_of,
)
from .controller_harness import NODES, OOM, OOM_NODES, POLICIES, REPORTS, ROOT, Controller, Json

pytestmark = pytest.mark.cluster

HOST_INCIDENTS = f"{OOM}/namespaces/{NAMESPACE}/oomincidents"


@pytest.fixture(scope="module")
def chart(testbed_say: Say) -> Iterator[ChartHarness]:
    """Installed, with two nodes."""
    with chart_on_an_api_server(say=testbed_say) as made:
        for node in ("node-a", "node-b"):
            made.harness.node(node)
        yield made


def test_helm_lint_reports_no_problem(renderer: Helm) -> None:
    assert "0 chart(s) failed" in renderer("lint", "--strict", CHART)


@pytest.mark.parametrize(
    "setting",
    [
        "controler.replicas=1",
        "controller.replicas=2",
        "agent.logLevel=loud",
        "report.window=soon",
        "agent.stateDir=x",
    ],
)
def test_invalid_chart_value_is_refused(renderer: Helm, setting: str) -> None:
    with pytest.raises(HelmError, match="values don't meet the specifications of the schema"):
        renderer.rendered("--set", setting)


def test_schema_and_values_have_the_same_keys() -> None:
    import yaml

    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema.keys() == values.keys()
    for name in schema.keys() - {"nameOverride", "fullnameOverride", "commonLabels", "imagePullSecrets"}:
        assert schema[name]["properties"].keys() == values[name].keys()


def test_container_arguments_are_options_of_the_program(renderer: Helm) -> None:
    objects = renderer.rendered("--set", "agent.logLevel=debug")
    for kind in ("DaemonSet", "Deployment"):
        for workload in of_kind(objects, kind):
            [container] = workload["spec"]["template"]["spec"]["containers"]
            verb, *options = container["args"]
            # Raises UsageError for an unknown option and for a value that is none of its choices.
            import_module(f"oomkeeper.cli.{verb}").command.make_context(verb, options)


def test_agent_mounts_only_documented_host_paths(renderer: Helm) -> None:
    def mounted(*settings: str) -> dict[str, bool]:
        [agent] = of_kind(renderer.rendered(*settings), "DaemonSet")
        spec = agent["spec"]["template"]["spec"]
        assert not spec.get("hostNetwork")
        assert not spec.get("hostIPC")
        paths = {one["name"]: one["hostPath"]["path"] for one in spec["volumes"] if "hostPath" in one}
        mounts = spec["containers"][0]["volumeMounts"]
        return {paths[one["name"]]: one.get("readOnly", False) for one in mounts if one["name"] in paths}

    fewer = {
        "/var/lib/oomkeeper": False,
        "/sys/fs/cgroup": True,
        "/sys/fs": True,
        "/sys/kernel": True,
        "/var/lib/systemd/pstore": True,
    }
    assert mounted() == fewer | {"/etc/sysctl.d": False}
    assert mounted("--set", "agent.persistence=false") == fewer
    settings = {"/proc/sys/vm": False, "/proc/sys/kernel/panic": False}
    assert mounted("--set", "agent.privileged=false") == mounted() | settings
    docs = (ROOT / "docs" / "install.md").read_text()
    assert all(f"| `{path}`" in docs for path in mounted())
    assert all(f"`{path}`" in docs for path in settings)


def test_agent_is_privileged_unless_it_is_given_capabilities(renderer: Helm) -> None:
    def context(*settings: str) -> Json:
        [agent] = of_kind(renderer.rendered(*settings), "DaemonSet")
        found: Json = agent["spec"]["template"]["spec"]["containers"][0]["securityContext"]
        return found

    assert context()["privileged"]
    limited = context("--set", "agent.privileged=false,agent.capabilities={SYSLOG}")
    assert "privileged" not in limited
    assert not limited["allowPrivilegeEscalation"]
    assert limited["capabilities"] == {"drop": ["ALL"], "add": ["SYSLOG"]}


def test_agent_tolerates_all_taints_on_linux_nodes(renderer: Helm) -> None:
    [agent] = of_kind(renderer.rendered(), "DaemonSet")
    spec = agent["spec"]["template"]["spec"]
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_controller_runs_unprivileged_on_a_read_only_file_system(renderer: Helm) -> None:
    [controller] = of_kind(renderer.rendered(), "Deployment")
    spec = controller["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_install_creates_custom_resources_and_cluster_report(chart: ChartHarness) -> None:
    # A new kind is served a moment before it is listed.
    eventually(lambda: len(chart.plane.kubectl("api-resources", "--categories=oom", "-oname").split()) == 5)
    report = chart.harness.get(f"{REPORTS}/cluster")
    assert (report["spec"]["window"], report["spec"]["top"]) == ("24h", 10)


def test_second_release_is_refused(chart: ChartHarness) -> None:
    """Two controllers would undo each other's work."""
    with pytest.raises(HelmError, match="cannot be imported into the current release"):
        chart.helm("install", "another", CHART, "--namespace=another", "--create-namespace")


def test_upgrade_applies_changed_values(chart: ChartHarness) -> None:
    chart.helm("upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}", "--set", "report.window=48h")
    assert chart.harness.get(f"{REPORTS}/cluster")["spec"]["window"] == "48h"
    chart.helm("rollback", RELEASE, "1", f"--namespace={NAMESPACE}")
    assert chart.harness.get(f"{REPORTS}/cluster")["spec"]["window"] == "24h"


def test_upgrade_onto_other_schemas_is_refused_until_they_are_applied(chart: ChartHarness) -> None:
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/oomreports.oomkeeper.dev"
    chart.harness.merge(crd, {"metadata": {"annotations": {"oomkeeper.dev/schema": "of-an-older-chart"}}})
    upgrade = ("upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}")
    with pytest.raises(HelmError, match=r"oomreports.oomkeeper.dev is of another version.*helm show crds"):
        chart.helm(*upgrade)
    schemas = chart.helm("show", "crds", CHART)
    chart.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=schemas)
    chart.helm(*upgrade)


def test_upgrade_of_a_cluster_that_lacks_a_kind_is_refused(chart: ChartHarness) -> None:
    """Helm installs no custom resource definition in an upgrade."""
    chart.plane.kubectl("delete", "crd", "containerkills.oomkeeper.dev")
    upgrade = ("upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}")
    with pytest.raises(HelmError, match=r"has no containerkills.oomkeeper.dev.*helm show crds"):
        chart.helm(*upgrade)
    schemas = chart.helm("show", "crds", CHART)
    chart.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=schemas)
    chart.plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    chart.helm(*upgrade)


def test_view_role_grants_only_incidents_and_container_kills(renderer: Helm) -> None:
    view = object_named(renderer.rendered(), "ClusterRole", "oomkeeper-view")
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert set(rules_of(view)) == {
        ("oomkeeper.dev", plural, verb)
        for plural in ("oomincidents", "containerkills")
        for verb in ("get", "list", "watch")
    }


def test_controller_uses_exactly_its_granted_permissions(chart: ChartHarness, tmp_path: Path) -> None:
    harness = chart.harness
    harness.node("here")
    harness.kill("long-ago", node="here", age=timedelta(days=8))
    harness.container_killed("long-ago", node="here", age=timedelta(days=8))
    controller = Controller(kubeconfig=chart.kubeconfig("controller"), log=tmp_path / "controller.log")
    controller.start()
    try:
        harness.policy("all", sysctls={"vm.oom_dump_tasks": 1})
        eventually(lambda: harness.status(f"{POLICIES}/all")["conditions"])
        eventually(lambda: harness.status(f"{REPORTS}/cluster")["totals"])
        for plural in ("oomincidents", "containerkills"):
            path = f"{OOM}/namespaces/default/{plural}/long-ago"
            eventually(lambda path=path: harness.find(path) is None)
        harness.kill("just-now", node="here")
        eventually(harness.events)
        harness.kill("just-now", node="here", count=2)
        # An Event is written at most once a minute.
        eventually(lambda: [event["count"] for event in harness.events()] == [2], seconds=120)
        # Without a garbage collector here, the controller itself removes the OOMNode of a node that is gone.
        harness.delete(f"{NODES}/here")
        eventually(lambda: harness.find(f"{OOM_NODES}/here") is None)
    finally:
        controller.end()
        harness.delete(f"{POLICIES}/all")
    # A request is in the audit log a moment after its answer.
    eventually(lambda: chart.used("controller") == chart.granted("controller"))
    assert chart.refused("controller") == []
    assert "Traceback" not in controller.log


@pytest.mark.kernel
@pytest.mark.skipif(why_no_kills() is not None, reason=why_no_kills() or "")
def test_agent_uses_exactly_its_granted_permissions(chart: ChartHarness, tmp_path: Path) -> None:
    node = "node-c"
    chart.harness.node(node)
    head = {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}}
    batch = {
        "name": "batch",
        "policy": "batch-first",
        "value": 900,
        "podSelector": {},
        "namespaceSelector": {"matchLabels": {"tier": "batch"}},
    }
    chart.harness.apply(
        f"{OOM_NODES}/{node}", head | {"spec": {"hostKills": True, "oomScoreAdjustments": [batch]}}
    )
    agent = Agent(tmp_path / "agent", kubeconfig=chart.kubeconfig("agent", node=node), node=node)
    agent.start()
    try:
        eventually(lambda: chart.harness.status(f"{OOM_NODES}/{node}")["conditions"])
        _say_it_runs(chart, pod=f"{RELEASE}-agent-on-{node}")
        eventually(lambda: ("", "namespaces", "get") in chart.used("agent"))
        for number, (version, kind) in enumerate((("apps/v1", "ReplicaSet"), ("batch/v1", "Job"))):
            _owned_pod_ends_oom_killed(chart, node=node, number=number, version=version, kind=kind)
        _owned_pod_ends_oom_killed(chart, node=node, number=2, version="v1", kind="Other", reason="Error")
        eventually(lambda: ("", "events", "list") in chart.used("agent"))
        eventually(lambda: {("apps", "replicasets", "get"), ("batch", "jobs", "get")} <= chart.used("agent"))
        await_reports(1)
        with cgroups() as top:
            victim = Eater()
            try:
                _kill(victim, top.child("limited", limit_bytes=16 << 20).procs)
            finally:
                victim.end()
            found = eventually(
                lambda: [
                    one
                    for one in chart.harness.list(HOST_INCIDENTS)
                    if one["spec"].get("cgroup", "").startswith(top.path) and one.get("status")
                ],
            )
        assert [one["spec"]["nodeName"] for one in found] == [node]
    finally:
        agent.end()
    # The other tests have tried what is forbidden, as another node.
    assert ": 403 " not in agent.log
    eventually(lambda: chart.used("agent") == chart.granted("agent"))


def _owned_pod_ends_oom_killed(
    chart: ChartHarness, *, node: str, number: int, version: str, kind: str, reason: str = "OOMKilled"
) -> None:
    """A pod whose workload the agent must find, because kubelet reports it OOMKilled, or killed otherwise."""
    owner = {"apiVersion": version, "kind": kind, "name": "web", "uid": f"uid-{kind}", "controller": True}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"owned-{number}", "ownerReferences": [owner]},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "none"}]},
    }
    chart.harness.request("POST", "/api/v1/namespaces/default/pods", pod)
    container_id = f"containerd://{str(number) * 64}"
    finished = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {
        "reason": reason,
        "exitCode": 137,
        "startedAt": finished,
        "finishedAt": finished,
        "containerID": container_id,
    }
    status = {"name": "app", "containerID": container_id, "state": {"terminated": ended}}
    status |= {"image": "", "imageID": "", "ready": False, "restartCount": 0}
    path = f"/api/v1/namespaces/default/pods/owned-{number}/status"
    chart.harness.merge(path, {"status": {"containerStatuses": [status]}})


def _say_it_runs(chart: ChartHarness, *, pod: str) -> None:
    """As kubelet would: labels are asked for only where a policy may find processes."""
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    main = {"name": "main", "containerID": f"containerd://{'a' * 64}", "state": state}
    main |= {"image": "", "imageID": "", "ready": True, "restartCount": 0}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status"
    chart.harness.merge(path, {"status": {"containerStatuses": [main]}})


def _kill(victim: Eater, procs: str) -> None:
    victim.do("join", procs=procs)
    with pytest.raises(ChildProcessError):
        victim.do("eat", bytes=64 << 20)


def test_uninstall_keeps_custom_resources_and_their_objects(chart: ChartHarness) -> None:
    """The last of this module: nothing else is left of the release after it."""
    chart.harness.kill("kept", node="node-a")
    # Without a kubelet the hook's Job never runs; test_chart_hooks.py tests its program.
    chart.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--no-hooks")
    assert chart.harness.get(f"{OOM}/namespaces/default/oomincidents/kept")
    kinds = (
        "deployments,daemonsets,serviceaccounts,clusterroles,clusterrolebindings,validatingadmissionpolicies,"
        "validatingadmissionpolicybindings,oomreports,secrets"
    )
    left = chart.plane.kubectl("get", kinds, "--all-namespaces", "-oname").split()
    assert [name for name in left if "oomkeeper" in name or "helm" in name] == []
    with pytest.raises(urllib.error.HTTPError):
        chart.harness.get(f"{REPORTS}/cluster")
