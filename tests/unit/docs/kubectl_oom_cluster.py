"""The cluster that the examples of docs/kubectl-oom.md are of."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from oomkeeper.api import KINDS
from oomkeeper.api.crd import crd
from tests.unit.cli.cluster_server import GROUP, Cluster, Request
from tests.unit.cli.test_drill import Node
from tests.unit.reporting.incident_samples import incident, stamp

Json = dict[str, Any]
NOW = datetime.now(UTC)
HALF = timedelta(minutes=30)
"""Ages of more than eight hours are shown in whole hours."""
_FIT = (
    "If this usage is normal, raise the memory limit of container app from 64 MiB to about 80 MiB: usage at "
    "the limit (64 MiB) plus 20 %, rounded up. The real peak is unknown, because the limit cut it off. Set "
    "resources.limits.memory in the pod spec."
)
_TMPFS = (
    "58.9 MiB (46 %) is files in tmpfs or shared memory (emptyDir with medium Memory, /dev/shm, System V). "
    "They stay until deleted, even if processes are killed. Store them on disk, or give the volume a "
    "sizeLimit of at most 44.6 MiB: the limit of 128 MiB minus other usage (69.1 MiB) and headroom."
)


def fill(cluster: Cluster) -> None:
    """Store the objects of the examples."""
    hours = timedelta(hours=1)
    web = incident(
        "web-app-1f0c64a5be",
        kills=14,
        comm="gunicorn",
        last=datetime(2026, 11, 23, 9, tzinfo=UTC),
        advice=(("FitLimit", _FIT),),
    )
    recent = copy.deepcopy(web)
    recent["status"] |= {
        "lastSeen": stamp(NOW - 9 * hours - HALF),
        "firstSeen": stamp(NOW - 30 * hours - HALF),
    }
    cache = incident(
        "cache-redis-77f1c2d3aa",
        workload=("StatefulSet", "cache"),
        container="redis",
        node="n2",
        kills=3,
        limit_mib=128,
        comm="redis-server",
        parts=(("SharedMemory", 46), ("Anonymous", 52)),
        advice=(("MoveTmpfs", _TMPFS),),
        last=NOW - 11 * hours - HALF,
    )
    host = incident(
        "db-service-0a1b2c3d4e",
        workload=None,
        cause="NodeMemory",
        limit_mib=None,
        last=NOW - 40 * hours - HALF,
    )
    host["metadata"]["namespace"] = "oomkeeper-system"
    drifted = _node("n2", state="Drifted", actual=1, driftCount=3)
    shop = f"{GROUP}/namespaces/shop/oomincidents"
    resources = {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}}
    cluster.stored |= {
        f"{GROUP}/oomincidents": [recent, cache, host],
        shop: [web, cache],
        f"{shop}/web-app-1f0c64a5be": web,
        "/apis/apps/v1/namespaces/shop/deployments/web": _deployment("app", resources),
        "/apis/apps/v1/namespaces/shop/statefulsets/cache": _deployment(
            "redis", {"limits": {"memory": "128Mi"}}
        ),
        f"{GROUP}/oompolicies": [_policy()],
        f"{GROUP}/oomnodes": [_node("n1"), drifted],
        f"{GROUP}/oomnodes/n2": drifted,
        f"{GROUP}/oomreports": [],
        "/api/v1/nodes": [_v1_node(name) for name in ("n1", "n2", "n3")],
    }
    for kind in KINDS:
        made = crd(kind)
        made["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
        name = made["metadata"]["name"]
        cluster.stored[f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"] = made
    node = Node(cluster)
    # With an image and a metrics port, on the node that the drill's pods run on.
    agent = _agent("n1", ready=True)
    container = {"image": "oomkeeper:0.1.0", "ports": [{"name": "metrics", "containerPort": 8082}]}
    agent["metadata"] |= {"name": "agent-1", "namespace": "ops"}
    agent["spec"]["containers"] = [container]
    cluster.stored["/api/v1/pods"] = [agent, _agent("n2", ready=False)]

    def write(request: Request) -> tuple[int, Json]:
        if request.path.endswith("/subjectaccessreviews"):
            return 201, {"status": {"allowed": True}}
        return node.write(request)

    cluster.writes = write


def _deployment(container: str, resources: Json) -> Json:
    template = {"spec": {"containers": [{"name": container, "resources": resources}]}}
    return {"spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}


def _policy() -> Json:
    return {
        "metadata": {"name": "defaults", "generation": 2},
        "spec": {"sysctls": {"vm.panic_on_oom": 0}},
        "status": {
            "observedGeneration": 2,
            "overridden": [{"sysctl": "vm.swappiness", "by": "db", "nodes": 1}],
        },
    }


def _node(name: str, *, state: str = "InSync", actual: int = 0, **fields: Any) -> Json:
    desired = {"name": "vm.panic_on_oom", "value": 0, "policy": "defaults"}
    observed = {
        "name": "vm.panic_on_oom",
        "desired": 0,
        "actual": actual,
        "policy": "defaults",
        "state": state,
    }
    drifted = fields.get("driftCount")
    condition = {
        "type": "KillsTraced",
        "status": "True" if not drifted else "False",
        "lastTransitionTime": "2026-11-23T09:00:00Z",
        "reason": "Recording" if not drifted else "TracingUnavailable",
        "message": "" if not drifted else "/sys/kernel/tracing: not mounted",
    }
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {"sysctls": [desired]},
        "status": {
            "observedGeneration": 1,
            "agentVersion": "0.1.0",
            "kernel": {"release": "6.12.9", "cgroupVersion": 2, "memory": "32886456Ki", "swap": "0Ki"},
            "kubelet": {"singleProcessOOMKill": False},
            "sysctls": [observed | fields],
            "counters": {
                "kernelKills": 17,
                "recorded": 17 if not drifted else 16,
                "unattributed": 0 if not drifted else 1,
                "since": "2026-11-20T08:00:00Z",
            },
            "conditions": [condition],
        },
    }


def _v1_node(name: str) -> Json:
    conditions = [{"type": "Ready", "status": "True"}]
    return {"metadata": {"name": name, "labels": {}}, "status": {"conditions": conditions}}


def _agent(node: str, *, ready: bool) -> Json:
    since = stamp(NOW - timedelta(hours=20) - HALF)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": since}
    waiting = {} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    return {
        "metadata": {"name": f"oomkeeper-agent-{node}", "namespace": "oomkeeper-system"},
        "spec": {"nodeName": node, "serviceAccountName": "oomkeeper-agent"},
        "status": {"conditions": [condition], "containerStatuses": [{"state": waiting}]},
    }
