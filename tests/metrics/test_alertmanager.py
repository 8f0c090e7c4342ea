"""The example for Alertmanager: a real one gets an alert, and a receiver gets the message."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomkeeper.model.cause import Remedy
from tests.receiver import Receiver, receiver
from tests.testbed.commands import run
from tests.testbed.errors import TestbedError
from tests.testbed.ports import free_ports
from tests.testbed.prometheus import Alertmanager, Prometheus, alertmanager
from tests.testbed.saying import to_terminal
from tests.waiting import eventually

from .test_rules import CASES, ROOT, RULES, alerts, promtool

EXAMPLE = ROOT / "examples" / "alertmanager"
LABELS = {
    "cause": "ContainerLimit",
    "namespace": "shop",
    "workload_kind": "Deployment",
    "workload": "web",
    "container": "app",
}
ANNOTATIONS = {
    "summary": "A container was OOM killed.",
    "description": (
        "1 OOM kills in 10 minutes of container app of Deployment shop/web, cause ContainerLimit."
    ),
    "limit": "128MiB",
    "remedy": "FitLimit",
    "incident": "web-app-0123456789",
    "runbook_url": "RUNBOOKS/OOMKeeperWorkloadOOMKilled.md",
}


@pytest.fixture(scope="session")
def alerting(request: pytest.FixtureRequest) -> Alertmanager:
    """Return alertmanager and amtool; skips where Debian's package cannot be had."""
    try:
        found = alertmanager(say=to_terminal(request))
        run([*found.command, "--version"])
    except TestbedError as error:
        pytest.skip(f"no Alertmanager: {error}")
    return found


@pytest.fixture
def messages() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def url(alerting: Alertmanager, messages: Receiver, tmp_path: Path) -> Iterator[str]:
    """Run the example with the receiver's address, and without waiting for more alerts of a group."""
    config = yaml.safe_load((EXAMPLE / "alertmanager.yaml").read_text())
    for one in config["receivers"]:
        for slack in one.get("slack_configs", ()):
            slack["api_url"] = messages.url
    for route in config["route"]["routes"]:
        route["group_wait"] = "0s"
    (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "oomkeeper.tmpl").write_text((EXAMPLE / "oomkeeper.tmpl").read_text())
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    command = [
        *alerting.command,
        f"--config.file={tmp_path / 'alertmanager.yaml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    log = (tmp_path / "alertmanager.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path) as process:
        try:
            eventually(
                lambda: urllib.request.urlopen(f"http://{address}/-/ready", timeout=10), also=(OSError,)
            )
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(30)


def fire(url: str, labels: dict[str, str], annotations: dict[str, str]) -> None:
    """Send an alert as Prometheus does."""
    body = json.dumps([{"labels": labels, "annotations": annotations}]).encode()
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v2/alerts", data=body, headers=head)
    urllib.request.urlopen(request, timeout=10).close()


def message(messages: Receiver) -> dict[str, Any]:
    """Return the one that arrived."""
    eventually(lambda: messages.requests)
    [attachment] = messages.requests[0].event["attachments"]
    found: dict[str, Any] = attachment
    return found


def test_example_is_a_valid_configuration(alerting: Alertmanager) -> None:
    command = [str(alerting.amtool), "check-config", str(EXAMPLE / "alertmanager.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_message_about_a_workload_has_cause_limit_and_advice(url: str, messages: Receiver) -> None:
    labels = LABELS | {"alertname": "OOMKeeperWorkloadOOMKilled", "severity": "warning"}
    fire(url, labels, ANNOTATIONS)
    found = message(messages)
    assert found["title"] == "[FIRING] OOM kills of Deployment shop/web"
    assert found["text"].splitlines() == [
        ANNOTATIONS["description"],
        "Limit: 128MiB",
        "Advice: raise the limit, or configure the program to use less than it",
        "In full: kubectl describe oomi -n shop web-app-0123456789",
        "Runbook: RUNBOOKS/OOMKeeperWorkloadOOMKilled.md",
    ]
    assert messages.requests[0].event["channel"] == "#oom"


def test_message_without_a_limit_leaves_it_out(url: str, messages: Receiver) -> None:
    labels = {"alertname": "OOMKeeperNodeOutOfMemory", "instance": "node-a", "cause": "NodeMemory"}
    fire(url, labels, {"description": "Node node-a ran out of memory."})
    found = message(messages)
    assert found["title"] == "[FIRING] OOMKeeperNodeOutOfMemory on node-a"
    assert found["text"].splitlines() == ["Node node-a ran out of memory."]


def test_every_remedy_has_its_words() -> None:
    known = set(re.findall(r'eq \. "(\w+)"', (EXAMPLE / "oomkeeper.tmpl").read_text()))
    assert known == set(Remedy)


def test_alert_has_the_annotations_that_the_message_needs(programs: Prometheus, tmp_path: Path) -> None:
    """Limit, remedy and incident come from the controller's metric."""
    case = yaml.safe_load(CASES.read_text())["tests"][0]
    selector = ", ".join(f'{name}="{value}"' for name, value in LABELS.items())
    series = (
        f'oomkeeper_last_oom_kill_limit_bytes{{{selector}, remedy="FitLimit", incident="web-app-0123456789"}}'
    )
    case["input_series"].append({"series": series, "values": "134217728x60"})
    [test] = case["alert_rule_test"]
    [expected] = test["exp_alerts"]
    expected["exp_annotations"] = ANNOTATIONS
    document = yaml.safe_load(CASES.read_text()) | {"tests": [case]}
    (tmp_path / "rules.yaml").write_text(RULES.read_text())
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(document))
    assert "SUCCESS" in promtool(programs, "test", "rules", tmp_path / "case.yaml")


def test_routes_reach_every_alert() -> None:
    [workloads, all_of_ours] = yaml.safe_load((EXAMPLE / "alertmanager.yaml").read_text())["route"]["routes"]
    assert workloads["matchers"] == ['alertname =~ "OOMKeeperWorkload.*"']
    assert all_of_ours["matchers"] == ['alertname =~ "OOMKeeper.*"']
    assert all(alert["alert"].startswith("OOMKeeper") for alert in alerts())
