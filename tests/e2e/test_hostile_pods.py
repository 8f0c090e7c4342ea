"""Pods that try to mislead, slow down or stop their node's agent, with what root in a container can do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from kubernetes.client.exceptions import ApiException

from .harness import Cluster, Json, container_status, eventually, last_kill
from .pods import EAT, REST, container, pod
from .test_policies import EXAMPLES, applied

pytestmark = pytest.mark.usefixtures("cluster")

Await = Callable[[int], None]
HASH, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
POSE = "mkfifo /tmp/fifo; exec sh -c 'echo kubelet > /proc/self/comm; while :; do sleep 1000; done' kubelet"
"""Any process may take any name; its arguments are what follows."""
OWN_CGROUP = """
    top=/sys/fs/cgroup; limit=memory.max
    [ -d $top/memory ] && top=$top/memory limit=memory.limit_in_bytes
    own=$top$(sed -n 's/^[0-9]*:memory://p; s/^0:://p' /proc/self/cgroup | head -1)
    [ -d "$own" ] || own=$top
"""
"""Where a privileged container has its cgroup, on v1 and v2."""
PRIVILEGED: Json = {"securityContext": {"privileged": True}}


def on(node: str, made: Json, **metadata: Any) -> Json:
    made["metadata"].update(metadata)
    made["spec"]["nodeName"] = node
    return made


def running(cluster: Cluster, namespace: str, name: str, container_name: str = "app") -> str:
    """Return the id of the container once it runs."""
    status = container_status(cluster.pod(namespace, name), container_name)
    assert "running" in status["state"], status["state"]
    return str(status["containerID"].rpartition("://")[2])


def blamed(cluster: Cluster, namespace: str, name: str) -> Json:
    """Return the one incident there, once its last kill is published; it must be this pod's."""

    def published() -> Json:
        one = cluster.only_incident(namespace)
        return one if last_kill(one) else {}

    one = eventually(published, seconds=120)
    assert last_kill(one)["pod"] == name
    return one


def restarts(cluster: Cluster, node: str) -> int:
    made = cluster.pod("oomkeeper-system", eventually(lambda: cluster.agent_pod(node)))
    return int(container_status(made, "agent")["restartCount"])


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    """A node whose agent is the same process, and answers, after the test."""
    node = cluster.nodes[-1]
    before = restarts(cluster, node)
    yield node
    assert restarts(cluster, node) == before
    cluster.account(node)


def test_pod_that_poses_as_kubelet_neither_blocks_the_agent_nor_is_believed(
    cluster: Cluster, space: str, node: str
) -> None:
    """A FIFO and /dev/zero for the configuration block, or fill the memory of, who believes the name."""
    scripts = {
        "fifo": "--config=/tmp/fifo --protect-kernel-defaults=true",
        "zero": "--config=/dev/zero",
        "protects": "--protect-kernel-defaults=true",
    }
    # An agent that has just started tells kubelet's version first.
    genuine = eventually(lambda: (k := cluster.oomnode(node)["status"]["kubelet"])["configFile"] and k)
    assert genuine["configFile"].startswith("/var/lib/kubelet")
    for name, flags in scripts.items():
        cluster.apply(on(node, pod(name, container("app", f"{POSE} {flags}"))), namespace=space)
    for name in scripts:
        eventually(lambda name=name: running(cluster, space, name))
        read = ("exec", f"--namespace={space}", name, "--", "cat", "/proc/1/comm")
        eventually(lambda read=read: cluster.kubectl(*read).strip() == "kubelet")
    # A new agent searches at once; the one that runs, once a minute.
    old = cluster.agent_pod(node)
    cluster.kubectl("delete", "pod", "--namespace=oomkeeper-system", old, "--wait=true")
    eventually(lambda: cluster.agent_pod(node) != old)
    with applied(cluster, EXAMPLES["keep-defaults"]):
        eventually(lambda: cluster.sysctls(node)["vm.oom_dump_tasks"]["state"] == "InSync")
        eventually(lambda: cluster.oomnode(node)["status"].get("kubelet") == genuine)


@pytest.mark.parametrize("as_mirror", [False, True], ids=["annotation", "mirror"])
def test_pod_with_a_forged_uid_gets_no_kills(
    cluster: Cluster, space: str, node: str, await_reports: Await, as_mirror: bool
) -> None:
    with cluster.namespace(f"prod-{uuid4().hex[:8]}") as prod:
        cluster.apply(on(node, pod("payments", container("app", f"sleep 15; {EAT}"))), namespace=prod)
        uid = (
            eventually(lambda: running(cluster, prod, "payments"))
            and cluster.pod(prod, "payments")["metadata"]["uid"]
        )
        forged = on(node, pod("mallory", container("app", REST)), annotations={HASH: uid})
        if as_mirror:
            forged["metadata"]["annotations"][MIRROR] = uid
            owner = cluster.core.read_node(node).metadata.uid
            forged["metadata"]["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "Node", "name": node, "uid": owner, "controller": True}
            ]
            forged["spec"]["automountServiceAccountToken"] = False
        with contextlib.suppress(
            AssertionError
        ):  # an API server may refuse a mirror pod that no kubelet makes
            cluster.apply(forged, namespace=space)
        await_reports(1)
        one = blamed(cluster, prod, "payments")
        assert last_kill(one)["podUID"] == uid
        assert cluster.incidents(space) == []


def test_container_with_a_delegated_cgroup_is_blamed_for_its_own_kills(
    cluster: Cluster, space: str, node: str, await_reports: Await
) -> None:
    """It makes kubelet's tree again below itself, with the victim's names, and has a process killed there."""
    with cluster.namespace(f"prod-{uuid4().hex[:8]}") as prod:
        cluster.apply(on(node, pod("payments", container("app", REST))), namespace=prod)
        victim_id = eventually(lambda: running(cluster, prod, "payments"))
        uid = cluster.pod(prod, "payments")["metadata"]["uid"]
        script = f"""{OWN_CGROUP}
            forged=$own/kubepods/burstable/pod{uid}/{victim_id}
            mkdir -p $forged
            echo 16000000 > $forged/$limit && touch /tmp/made
            sh -c "echo 0 > $forged/cgroup.procs; exec tail /dev/zero"; {REST}
        """
        await_reports(1)
        mallory = pod("mallory", container("app", script, limit="64Mi", **PRIVILEGED))
        cluster.apply(on(node, mallory), namespace=space)
        eventually(lambda: running(cluster, space, "mallory"))
        one = blamed(cluster, space, "mallory")
        assert f"pod{uid}" in one["status"]["evidence"]["taskMemcg"]
        assert cluster.incidents(prod) == []


def test_forged_kernel_messages_are_no_kills(cluster: Cluster, space: str, node: str) -> None:
    """As a pod that was given /dev/kmsg can write them, whatever priority it claims."""
    uid = "00000000-1111-2222-3333-444444444444"
    path = f"/kubepods/burstable/pod{uid}/{'a' * 64}"
    lines = (
        "<3>forged invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        f"<6>oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg={path},task_memcg={path},task=forged,pid=1,uid=0",
        "<3>Memory cgroup out of memory: Killed process 1 (forged) total-vm:1kB, anon-rss:1kB, file-rss:0kB",
    )
    script = "; ".join(f"echo '{line}' > /dev/kmsg" for line in lines) + f"; {REST}"
    made = pod("writer", container("app", script, **PRIVILEGED))
    cluster.apply(on(node, made), namespace=space)
    eventually(lambda: running(cluster, space, "writer"))
    time.sleep(20)  # longer than a kill waits for its pod
    assert cluster.incidents(space) == []
    assert "(forged)" not in str(cluster.incidents())
    assert uid not in str(cluster.incidents())


def test_name_that_is_no_text_and_large_annotations_do_not_stop_the_agent(
    cluster: Cluster, space: str, node: str, await_reports: Await
) -> None:
    await_reports(1)
    eat = "held=$(yes | head -c 200000000); sleep 1"
    script = f"sleep 10; printf '<b>\\n\\377\"' > /proc/self/comm; {eat}"
    cluster.apply(
        on(node, pod("odd", container("app", script)), annotations={"a": "x" * 100_000}), namespace=space
    )
    eventually(lambda: running(cluster, space, "odd"))
    for number in range(20):
        body = {"metadata": {"annotations": {"a": f"{number % 10}" * 100_000}}}
        with contextlib.suppress(ApiException):
            cluster.core.patch_namespaced_pod("odd", space, body)
    blamed(cluster, space, "odd")


def test_many_cgroups_below_a_container_do_not_stop_the_agent(
    cluster: Cluster, space: str, node: str, await_reports: Await
) -> None:
    script = f"{OWN_CGROUP}; for i in $(seq 1 300); do mkdir $own/many$i; done; touch /tmp/done; {REST}"
    script = script.replace("\n;", "\n")
    cluster.apply(
        on(node, pod("many", container("app", script, limit="256Mi", **PRIVILEGED))), namespace=space
    )
    done = ("exec", f"--namespace={space}", "many", "--", "ls", "/tmp/done")
    eventually(lambda: cluster.kubectl(*done), seconds=120)
    await_reports(1)
    cluster.apply(on(node, pod("hungry", container("app", EAT))), namespace=space)
    blamed(cluster, space, "hungry")
