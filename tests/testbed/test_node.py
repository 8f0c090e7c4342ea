"""The node level for real: pods run, the kernel kills them, and the machine is then as it was before."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.testbed import NativeNode, TestbedError, cgroups, native_node
from tests.testbed.checking import await_machine, machine_now
from tests.testbed.node import why_not
from tests.waiting import eventually

pytestmark = [pytest.mark.node, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]


@pytest.fixture(scope="module")
def node() -> Iterator[NativeNode]:
    found = machine_now()
    with native_node(name="node-t") as running:
        yield running
    await_machine(found)


def test_node_is_ready_under_its_name(node: NativeNode) -> None:
    assert node.name == "node-t"
    assert node.kubectl("get", "nodes", "--output=name") == "node/node-t\n"


def test_pod_runs_and_logs_and_exec_work(node: NativeNode) -> None:
    script = "echo hello; sleep 1000"
    node.kubectl("run", "talker", "--image=oomkeeper.local/busybox:1", "--restart=Never", "--", "-c", script)
    node.kubectl("wait", "pod/talker", "--for=condition=Ready", "--timeout=60s")
    eventually(lambda: node.kubectl("logs", "talker") == "hello\n")
    assert node.kubectl("exec", "talker", "--", "hostname") == "talker\n"


def test_kernel_kills_pod_at_its_limit_and_kubelet_reports_it(node: NativeNode) -> None:
    container = {
        "name": "eater",
        "image": "oomkeeper.local/busybox:1",
        "imagePullPolicy": "Never",
        "command": ["tail", "/dev/zero"],
        "resources": {"limits": {"memory": "40Mi"}},
    }
    spec = {"restartPolicy": "Never", "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "eater"}, "spec": spec}
    node.kubectl("apply", "--filename=-", input=json.dumps(pod))
    killed = "--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}=OOMKilled"
    node.kubectl("wait", "pod/eater", killed, "--timeout=60s")


def test_pod_cgroups_are_where_production_has_them(node: NativeNode) -> None:
    uid = node.kubectl("get", "pod", "talker", "--output=jsonpath={.metadata.uid}")
    assert all(list(root.rglob(f"pod{uid}")) for root in cgroups.roots())


def hold_a_second_node() -> None:
    with native_node():
        pytest.fail("two native nodes on one machine")


def test_second_node_in_the_same_process_is_refused_immediately(node: NativeNode) -> None:
    assert node.kubectl("get", "nodes")
    with pytest.raises(TestbedError, match="this process runs a native node already"):
        hold_a_second_node()
