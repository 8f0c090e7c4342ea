"""The chart's DaemonSet with `agent.privileged=false`, as a pod on a real kubelet: what it does, and what it
cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import await_reports
from tests.kernel.harness import why_not as why_no_kills
from tests.testbed import NativeNode
from tests.testbed.cache import Say
from tests.testbed.node import why_not
from tests.testbed.operatorimage import operator_image
from tests.waiting import eventually

from .agent_harness import EAT, container, install, namespace, node_status, only_incident, pod
from .chart_harness import NAMESPACE, helm
from .controller_harness import OOM_NODES, Controller, Harness, Json

_reason = why_not() or why_no_kills()
pytestmark = [pytest.mark.node, pytest.mark.skipif(_reason is not None, reason=_reason or "")]

KINDS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "DaemonSet")
SWAPPINESS = "vm.swappiness"
SPACE = "unprivileged"


@pytest.fixture(scope="module")
def harness(native_node: NativeNode) -> Harness:
    return install(native_node.control_plane)


@pytest.fixture(scope="module", autouse=True)
def agent(
    native_node: NativeNode, harness: Harness, testbed_say: Say, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The agent's pod, ready; and the controller as a process."""
    folder = tmp_path_factory.mktemp("unprivileged")
    image = operator_image(say=testbed_say)
    native_node.import_image(image.archive)
    values = {
        "agent.privileged": "false",
        "agent.stateDir": folder / "state",  # the machine's own would stay, and its kills with it
        "image.repository": image.repository,
        "image.tag": image.tag,
    }
    settings = ",".join(f"{name}={value}" for name, value in values.items())
    objects = helm(folder / "helm", say=testbed_say).rendered("--set", settings)
    mine = [one for one in objects if one["kind"] in KINDS and "helm.sh/hook" not in str(one["metadata"])]
    for one in mine:
        if one["kind"] == "DaemonSet":
            _fit_testbed(one, native_node)
    namespace(native_node.control_plane, NAMESPACE)
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": mine})
    kubectl, selector = native_node.kubectl, "app.kubernetes.io/component=agent"
    controller = Controller(kubeconfig=native_node.control_plane.kubeconfig, log=folder / "controller.log")
    controller.start()
    try:
        kubectl("apply", "--server-side", "-f", "-", input=document)
        name = eventually(
            lambda: kubectl("-n", NAMESPACE, "get", "pod", "-l", selector, "-o", "name").strip()
        )
        kubectl("-n", NAMESPACE, "wait", name, "--for=condition=Ready", "--timeout=180s")
        eventually(lambda: node_status(harness, native_node.name).get("conditions"))
        yield name
    finally:
        controller.end()
        for look in (("describe", "pod"), ("logs", "--tail=50")):
            print(kubectl("-n", NAMESPACE, *look, "-l", selector, check=False))
        kubectl("delete", "--wait", "--timeout=60s", "-f", "-", input=document)


def _fit_testbed(daemonset: Json, node: NativeNode) -> None:
    """The testbed has no kube-proxy, so the API server is reached where it listens, and its mounts may be
    private, so none can be propagated."""
    host, _, port = node.control_plane.url.removeprefix("https://").partition(":")
    spec = daemonset["spec"]["template"]["spec"]
    spec["hostNetwork"] = True
    for mount in spec["containers"][0]["volumeMounts"]:
        mount.pop("mountPropagation", None)
    spec["containers"][0]["imagePullPolicy"] = "Never"
    spec["containers"][0]["env"] += [
        {"name": "KUBERNETES_SERVICE_HOST", "value": host},
        {"name": "KUBERNETES_SERVICE_PORT", "value": port},
    ]


def _conditions(harness: Harness, node: NativeNode) -> dict[str, tuple[str, str]]:
    return harness.conditions(f"{OOM_NODES}/{node.name}")


def test_process_has_the_chosen_capabilities_alone(native_node: NativeNode, agent: str) -> None:
    status = native_node.kubectl("-n", NAMESPACE, "exec", agent, "--", "cat", "/proc/self/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    dac_override, syslog = 1 << 1, 1 << 34  # include/uapi/linux/capability.h
    assert int(fields["CapEff"], 16) == dac_override | syslog
    assert fields["NoNewPrivs"].strip() == "1"


def test_kill_is_read_with_syslog_and_explained(native_node: NativeNode, harness: Harness) -> None:
    assert _conditions(harness, native_node)["KernelLogReadable"] == ("True", "ReadingSyslog")
    space = namespace(native_node.control_plane, SPACE)
    await_reports(5)
    try:
        eater = json.dumps(pod("eater", container("app", EAT)))
        native_node.kubectl("-n", space, "apply", "-f", "-", input=eater)
        incident = only_incident(harness, space, visibility="Reported")
        assert incident["status"]["cause"] == "ContainerLimit"
        assert incident["spec"]["container"] == "app"
        assert incident["status"]["evidence"]["victims"][0]["comm"] == "tail"
        assert incident["status"]["conditions"][0]["reason"] == "ReportComplete"
        eventually(lambda: node_status(harness, native_node.name)["counters"]["unattributed"] == 0)
    finally:
        native_node.kubectl("-n", space, "delete", "pod", "--all", "--grace-period=0", "--force")


def test_sysctl_is_set_enforced_and_restored(native_node: NativeNode, harness: Harness) -> None:
    path = Path("/proc/sys/vm/swappiness")
    found = int(path.read_text())
    wanted = (found + 7) % 100
    try:
        harness.policy("unprivileged", sysctls={SWAPPINESS: wanted})
        eventually(lambda: int(path.read_text()) == wanted)
        path.write_text(str((wanted + 5) % 100))
        eventually(lambda: int(path.read_text()) == wanted)
        eventually(lambda: _conditions(harness, native_node)["Applied"] == ("True", "InSync"))
    finally:
        harness.delete("/apis/oomkeeper.dev/v1alpha1/oompolicies/unprivileged")
        try:
            eventually(lambda: int(path.read_text()) == found)
        finally:
            path.write_text(str(found))


def test_rest_of_the_kernels_settings_is_read_only(native_node: NativeNode, agent: str) -> None:
    script = "import os; os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY)"
    answer = native_node.kubectl(
        "-n",
        NAMESPACE,
        "exec",
        agent,
        "--",
        "python3",
        "-c",
        f"try:\n {script}\nexcept OSError as error:\n print(error.strerror)",
    )
    assert answer.strip() == "Read-only file system"
