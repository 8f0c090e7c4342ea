"""A real Prometheus scrapes a running agent and controller: every rule is evaluated, and every query of the
dashboard returns data."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomkeeper.cli import drill
from oomkeeper.cli.cluster import read_target_context
from oomkeeper.cli.cluster_client import ClusterClient
from oomkeeper.cli.drill_alert import PrometheusError, PrometheusService
from oomkeeper.cli.nodes import AGENT_PODS
from oomkeeper.model.cause import Remedy
from oomkeeper.reporting.drill import FAILED, PASSED, Link
from tests.cluster.agent_harness import Agent, install, namespace
from tests.cluster.controller_harness import Controller, Harness
from tests.testbed import ControlPlane
from tests.testbed.ports import free_ports
from tests.testbed.prometheus import Prometheus
from tests.waiting import eventually

from .endpoints import LOOPBACK, HostOfFiles, Scraper, own_address
from .test_rules import ROOT, RULES, promtool

pytestmark = pytest.mark.cluster

DASHBOARD = ROOT / "charts" / "oomkeeper" / "files" / "dashboard.json"
PAGE = ROOT / "docs" / "metrics.md"
CONTAINER = "c" * 64
NODE = "node-a"
CORE = "/api/v1/namespaces/shop"
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that runs."""

    harness: Harness
    host: HostOfFiles
    agent: Agent
    prometheus: Scraper
    ports: dict[str, int]
    cgroup: str


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane, programs: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "host").mkdir()
    harness, host = install(control_plane), HostOfFiles(folder / "host")
    space = namespace(control_plane, "shop")
    cgroup = _pod(harness, space)
    harness.node(NODE, ready=True)
    agent_port, controller_port, prometheus_port = free_ports(3)
    address = own_address()
    serve = ("--metrics-address", address, "--metrics-port")
    agent = Agent(
        folder / "agent",
        kubeconfig=control_plane.kubeconfig,
        node=NODE,
        arguments=(*host.arguments(), *serve, str(agent_port)),
    )
    controller = Controller(
        kubeconfig=control_plane.kubeconfig,
        log=folder / "controller.log",
        arguments=(*serve, str(controller_port)),
    )
    controller.start()
    agent.start()
    host.reader = agent.pid
    prometheus = Scraper(
        programs,
        folder,
        address=address,
        port=prometheus_port,
        agent=agent_port,
        controller=controller_port,
    )
    try:
        yield Setup(
            harness=harness,
            host=host,
            agent=agent,
            prometheus=prometheus,
            ports={"agent": agent_port, "controller": controller_port},
            cgroup=cgroup,
        )
    finally:
        prometheus.stop()
        if agent.running:
            agent.kill()
        controller.end()


def _pod(harness: Harness, space: str) -> str:
    """Make a running pod, as kubelet would report it; return its container's cgroup."""
    accounts = f"/api/v1/namespaces/{space}/serviceaccounts"
    if harness.find(f"{accounts}/default") is None:
        harness.request("POST", accounts, {"metadata": {"name": "default"}})
    pods = f"/api/v1/namespaces/{space}/pods"
    made = harness.request(
        "POST",
        pods,
        {
            "metadata": {"name": "web-1"},
            "spec": {
                "nodeName": NODE,
                "automountServiceAccountToken": False,
                "containers": [
                    {"name": "app", "image": "none", "resources": {"limits": {"memory": "48Mi"}}},
                ],
            },
        },
    )
    status = {
        "name": "app",
        "image": "none",
        "imageID": "none",
        "ready": True,
        "restartCount": 0,
        "containerID": f"containerd://{CONTAINER}",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }
    harness.merge(f"{pods}/web-1/status", {"status": {"phase": "Running", "containerStatuses": [status]}})
    return f"/kubepods/burstable/pod{made['metadata']['uid']}/{CONTAINER}"


@pytest.fixture(scope="module")
def busy(running: Setup) -> Setup:
    """The same after a policy, a foreign write and two kills."""
    prometheus, host = running.prometheus, running.host
    running.harness.policy("ten", sysctls={"vm.swappiness": 10})
    running.harness.report("cluster", window="24h")
    eventually(lambda: prometheus.value("oomkeeper_sysctl_in_sync") == 1)
    host.swappiness.write_text("77\n")
    eventually(lambda: prometheus.value("oomkeeper_sysctl_drifts_total") == 1)
    # The alert needs to know that the agent was scraped before its first kill.
    eventually(lambda: prometheus.query('oomkeeper_build_info{component="agent"} offset 5s'))
    host.kill(running.cgroup, pid=4711)
    eventually(lambda: prometheus.value("oomkeeper_oom_kills_total") == 1)
    host.kill(running.cgroup, pid=4712)
    eventually(lambda: prometheus.value("oomkeeper_oom_kills_total") == 2)
    eventually(lambda: prometheus.value("oomkeeper_incident_publish_latency_seconds_count") >= 1)
    eventually(lambda: prometheus.value('oomkeeper_incidents{namespace="shop"}') == 1)
    return running


def test_kill_raises_an_alert_that_names_the_workload(busy: Setup) -> None:
    def firing() -> list[dict[str, Any]]:
        alerts = busy.prometheus.get("/api/v1/alerts")["alerts"]
        return [one for one in alerts if one["labels"]["alertname"] == "OOMKeeperWorkloadOOMKilled"]

    busy.host.kill(busy.cgroup, pid=4713)
    [alert] = eventually(firing)
    assert alert["state"] == "firing"
    assert "container app of Pod shop/web-1, cause" in alert["annotations"]["description"]
    assert "error" not in json.dumps(alert["annotations"]).lower()

    def explained() -> dict[str, str]:
        """Once the incident is published, and the controller's metrics of it are scraped."""
        [alert] = firing()
        found: dict[str, str] = alert["annotations"]
        return found if found.get("incident") else {}

    found = eventually(explained)
    assert found["incident"].startswith("web-1-app-")
    assert found["limit"].endswith("iB")
    assert found["remedy"] in set(Remedy)


def test_every_rule_is_evaluated_without_an_error(busy: Setup) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = busy.prometheus.get("/api/v1/rules")["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        assert all(rule["health"] == "ok" for rule in found), found
        return found

    written = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len(eventually(rules)) == len(written)


@pytest.mark.parametrize("name", ["agent", "controller"])
def test_output_follows_the_conventions(busy: Setup, programs: Prometheus, name: str) -> None:
    done = subprocess.run(
        [str(programs.promtool), "check", "metrics"],
        input=page(busy, name),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def expressions() -> list[tuple[str, str]]:
    """Panel and expression of each query of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [(panel["title"], one["expr"]) for panel in panels for one in panel.get("targets", ())]


def test_every_query_of_the_dashboard_returns_data(busy: Setup) -> None:
    """With a value for each variable, as Grafana does. New kills stop being new: there is one more."""
    busy.host.kill(busy.cgroup, pid=4714)
    values = {
        "$__rate_interval": "10s",
        "$__range": "1h",
        "$namespace": ".*",
        "$workload": ".*",
        "$instance": ".*",
    }
    empty = {}
    for panel, expression in expressions():
        for name, text in values.items():
            expression = expression.replace(name, text)
        assert "$" not in expression
        try:
            eventually(lambda query=expression: busy.prometheus.query(query), seconds=5)  # type: ignore[misc]
        except AssertionError as error:
            empty[f"{panel}: {expression}"] = str(error)
    assert empty == {}


def test_variables_of_the_dashboard_have_values(busy: Setup) -> None:
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    queries = [re.fullmatch(r"label_values\((.+), (\w+)\)", one["definition"]) for one in variables[1:]]
    found = {}
    for query in queries:
        assert query is not None
        series = busy.prometheus.get(
            f"/api/v1/label/{query[2]}/values", **{"match[]": query[1].replace("$namespace", ".*")}
        )
        found[query[2]] = series
    assert found == {"namespace": ["shop"], "workload": ["web-1"], "instance": [NODE]}


def test_counters_continue_after_the_agent_was_killed(busy: Setup) -> None:
    def counted() -> bool:
        return busy.prometheus.value("oomkeeper_oom_kills_total") == busy.host.kills

    eventually(counted)
    busy.agent.kill()
    busy.host.reader = None
    busy.host.kill(busy.cgroup, pid=4715)  # while the agent is away
    busy.agent.start()
    busy.host.reader = busy.agent.pid
    eventually(counted)
    # No sample in between is smaller, so Prometheus finds no counter reset.
    assert busy.prometheus.value("resets(oomkeeper_oom_kills_total[5m])") == 0
    assert busy.prometheus.value("resets(oomkeeper_kernel_oom_kills_total[5m])") == 0


@pytest.fixture(scope="module")
def reachable(busy: Setup) -> Iterator[Setup]:
    """The same with Prometheus as a service of the cluster, and the agent as a pod that serves metrics."""
    harness, address = busy.harness, busy.prometheus.address
    if address == LOOPBACK:
        pytest.skip("the API server does not proxy to loopback, and this machine has no other address")
    ports: list[Json] = [{"name": "web", "port": busy.prometheus.port}]
    served = [{"name": "metrics", "containerPort": busy.ports["agent"]}]
    labels = dict(pair.split("=") for pair in AGENT_PODS.split(","))
    _serving_pod(harness, {"name": "agent", "labels": labels}, address=address, ports=served)
    # The API server proxies only to addresses of pods.
    _serving_pod(harness, {"name": "prometheus"}, address=address, ports=[])
    pod = {"kind": "Pod", "namespace": "shop", "name": "prometheus"}
    head: Json = {"metadata": {"name": "prometheus"}}
    harness.request("POST", f"{CORE}/services", {**head, "spec": {"ports": ports}})
    labels = {"kubernetes.io/service-name": "prometheus"}
    endpoint = {"addresses": [address], "conditions": {"ready": True}, "targetRef": pod}
    harness.request(
        "POST",
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
        {
            "metadata": {"name": "prometheus-1", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": ports,
        },
    )
    yield busy
    for name in ("agent", "prometheus"):
        harness.request("DELETE", f"{CORE}/pods/{name}", {"gracePeriodSeconds": 0})


def _serving_pod(harness: Harness, metadata: Json, *, address: str, ports: list[Json]) -> None:
    """Make a pod that has the address of this machine."""
    spec = {
        "nodeName": NODE,
        "automountServiceAccountToken": False,
        "containers": [{"name": "main", "image": "none", "ports": ports}],
    }
    harness.request("POST", f"{CORE}/pods", {"metadata": metadata, "spec": spec})
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    harness.merge(f"{CORE}/pods/{metadata['name']}/status", {"status": status})


@pytest.fixture
def api(reachable: Setup, control_plane: ControlPlane) -> Iterator[ClusterClient]:
    assert reachable.agent.running
    client = ClusterClient(read_target_context(control_plane.kubeconfig, None)[0])
    yield client
    client.close()


def drill_plan(setup: Setup, *, namespace: str = "shop", wait_seconds: int = 30) -> drill._Plan:
    service = f"shop/prometheus:{setup.prometheus.port}"
    return drill._Plan(namespace, "none", NODE, service, wait_seconds)


def test_drill_finds_kills_in_the_metrics_of_the_agent_on_their_node(
    reachable: Setup, api: ClusterClient
) -> None:
    link = drill._metric(api, drill_plan(reachable), "container", {"metadata": {"name": "web-1"}})
    kills = reachable.host.kills
    assert link == Link(
        "container", "Metric", PASSED, f"oomkeeper_oom_kills_total is {kills} for the namespace"
    )


def test_drill_finds_the_alert_of_the_namespace_in_prometheus(reachable: Setup, api: ClusterClient) -> None:
    reachable.host.kill(reachable.cgroup, pid=4720)
    link = drill._alert(api, drill_plan(reachable), "container", {})
    assert link == Link("container", "Alert", PASSED, "OOMKeeperWorkloadOOMKilled is firing")


def test_drill_says_that_prometheus_has_no_kill_of_a_namespace(reachable: Setup, api: ClusterClient) -> None:
    link = drill._alert(api, drill_plan(reachable, namespace="another", wait_seconds=0), "container", {})
    assert link.result == FAILED
    assert link.message.startswith("Prometheus has oomkeeper_oom_kills_total, but not of this namespace")


def test_drill_says_that_the_rule_does_not_fire(reachable: Setup, api: ClusterClient) -> None:
    """Kills of the last seconds are over: the rule is there, and does not fire."""
    prometheus = PrometheusService(api, f"shop/prometheus:{reachable.prometheus.port}")
    eventually(lambda: prometheus.why_no_alert("shop") == "OOMKeeperWorkloadOOMKilled does not fire")
    missing = PrometheusService(api, "shop/prometheus:1")
    with pytest.raises(PrometheusError, match="Prometheus did not answer"):
        missing.alert("shop")


@pytest.mark.parametrize("name", ["agent", "controller"])
def test_every_metric_is_documented(busy: Setup, name: str) -> None:
    families = set(re.findall(r"^# TYPE (oomkeeper_\w+)", page(busy, name), re.MULTILINE))
    assert len(families) > 5
    documented = set(re.findall(r"`(oomkeeper_\w+?)(?:\{|`)", PAGE.read_text()))
    assert families - documented == set()


def page(setup: Setup, name: str) -> str:
    with urllib.request.urlopen(
        f"http://{setup.prometheus.address}:{setup.ports[name]}/metrics", timeout=10
    ) as answer:
        text: str = answer.read().decode()
    return text


def test_every_query_of_rules_and_documentation_is_valid(programs: Prometheus, tmp_path: Path) -> None:
    """promtool parses each example of docs/metrics.md as the expression of a rule."""
    examples = re.findall(r"^```promql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 5
    rules = [{"record": f"example:{number}", "expr": text} for number, text in enumerate(examples)]
    (tmp_path / "examples.yaml").write_text(json.dumps({"groups": [{"name": "examples", "rules": rules}]}))
    assert "SUCCESS" in promtool(programs, "check", "rules", tmp_path / "examples.yaml")
