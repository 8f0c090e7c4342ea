"""The programs of the chart's hooks on a real API server, with the permissions that the chart gives them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.testbed.cache import Say
from tests.waiting import eventually

from .chart_harness import CHART, NAMESPACE, RELEASE, ChartHarness, chart_on_an_api_server
from .controller_harness import OOM_NODES, POLICIES, REPORTS, Controller

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def chart(testbed_say: Say) -> Iterator[ChartHarness]:
    """Installed, with the accounts and roles of its hooks, which helm creates only while a hook runs."""
    with chart_on_an_api_server(say=testbed_say) as made:
        kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
        hooks = [
            one
            for one in made.helm.rendered()
            if "helm.sh/hook" in one["metadata"].get("annotations", {}) and one["kind"] in kinds
        ]
        made.plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(hooks))
        yield made


@pytest.fixture
def controller(chart: ChartHarness, tmp_path: Path) -> Iterator[Controller]:
    chart.harness.node("n1")
    chart.harness.node("n2")
    running = Controller(kubeconfig=chart.kubeconfig("controller"), log=tmp_path / "controller.log")
    running.start()
    yield running
    running.end()
    chart.harness.delete(POLICIES)
    chart.harness.delete(OOM_NODES)


def start(chart: ChartHarness, module: str, account: str, *arguments: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        f"oomkeeper.controller.{module}",
        f"--kubeconfig={chart.kubeconfig(account)}",
    ]
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


@pytest.mark.usefixtures("controller")
def test_uninstall_suspends_policies_and_waits_for_every_agent(chart: ChartHarness) -> None:
    harness = chart.harness
    harness.policy("dumps", sysctls={"vm.oom_dump_tasks": 1})
    harness.policy("paused", suspend=True, sysctls={"vm.swappiness": 1})
    for node in ("n1", "n2"):
        eventually(lambda node=node: harness.sysctls(node))
        harness.answer(node)
    hook = start(chart, "uninstall", "uninstall", "--timeout=120")
    for node in ("n1", "n2"):
        eventually(lambda node=node: not harness.sysctls(node))
        assert hook.poll() is None  # it waits for the agents
        harness.answer(node)
    code, output = finish(hook)
    assert code == 0
    assert output.splitlines()[0] == "suspended 1 of 2 policies: dumps"
    assert "every node has its original values" in output
    dumps = harness.get(f"{POLICIES}/dumps")
    assert dumps["spec"]["suspend"] is True
    assert dumps["metadata"]["annotations"]["oomkeeper.dev/suspended-by"] == "uninstall"
    assert "annotations" not in harness.get(f"{POLICIES}/paused")["metadata"]
    eventually(lambda: chart.used("uninstall") == chart.granted("uninstall"))
    assert chart.refused("uninstall") == []


@pytest.mark.usefixtures("controller")
def test_uninstall_lists_what_is_not_restored_and_does_not_fail(chart: ChartHarness) -> None:
    harness = chart.harness
    harness.policy("dumps", sysctls={"vm.oom_dump_tasks": 1})
    eventually(lambda: harness.sysctls("n1") and harness.sysctls("n2"))
    harness.answer("n1")
    code, output = finish(start(chart, "uninstall", "uninstall", "--timeout=30"))
    assert code == 0
    assert "not restored on 1 nodes within 30 s" in output
    assert "n1: the agent has not confirmed the release of vm.oom_dump_tasks=1" in output
    assert "n2" not in output  # its agent never applied anything


@pytest.mark.usefixtures("controller")
def test_selftest_names_nodes_without_an_agent(chart: ChartHarness) -> None:
    harness = chart.harness
    eventually(lambda: harness.find(f"{OOM_NODES}/n1") and harness.find(f"{OOM_NODES}/n2"))
    eventually(lambda: harness.status(f"{REPORTS}/cluster").get("refreshTime"))
    harness.answer("n1")
    code, output = finish(start(chart, "selftest", "test", "--timeout=10", "--report=cluster"))
    assert (code, output) == (1, "n2: no agent has reported\n")
    harness.answer("n2")
    code, output = finish(start(chart, "selftest", "test", "--timeout=60", "--report=cluster"))
    assert (code, output) == (0, "every agent reports, and the controller works\n")
    eventually(lambda: chart.used("test") == chart.granted("test"))


def test_notes_tell_which_policies_exist(chart: ChartHarness) -> None:
    def notes() -> str:
        chart.helm("upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}")
        return chart.helm("get", "notes", RELEASE, f"--namespace={NAMESPACE}")

    assert "No OOMPolicy exists" in notes()
    chart.harness.policy("dumps", sysctls={"vm.oom_dump_tasks": 1})
    chart.harness.policy("paused", suspend=True, sysctls={"vm.swappiness": 1})
    text = notes()
    assert "2 OOMPolicies exist: dumps, paused." in text
    assert "Suspended, so without effect: paused." in text
    assert "No OOMPolicy" not in text
    chart.harness.delete(POLICIES)
