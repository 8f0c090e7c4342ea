"""Pods and kills for the agent's tests."""

import json
from typing import Any

from oomkeeper.agent.pods import Pod, PodTable, decode_pod
from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Kill, Victim

UID = "0a1b2c3d-1111-2222-3333-444455556666"
IDS = tuple(letter * 64 for letter in "abcdef")
Json = dict[str, Any]


def status(name: str, *, now: Json, container_id: str | None = None, last: Json | None = None) -> Json:
    made: Json = {"name": name, "state": now, "restartCount": 0}
    if container_id:
        made["containerID"] = f"containerd://{container_id}"
    if last:
        made["lastState"] = last
    return made


def running() -> Json:
    return {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(container_id: str, *, reason: str = "OOMKilled", at: str = "2026-01-01T10:00:00Z") -> Json:
    return {
        "terminated": {
            "reason": reason,
            "exitCode": 137,
            "containerID": f"containerd://{container_id}",
            "finishedAt": at,
        }
    }


def pod_object(*statuses: Json, containers: tuple[str, ...] = ("app",), uid: str = UID, **meta: Any) -> Json:
    specs = [{"name": name, "resources": {"limits": {"memory": "64Mi"}}} for name in containers]
    return {
        "metadata": {"namespace": "shop", "name": "web-1", "uid": uid, **meta},
        "spec": {"nodeName": "node-a", "containers": specs},
        "status": {"qosClass": "Burstable", "containerStatuses": [*statuses]},
    }


def parse_pod(obj: Json) -> Pod:
    """The pod of an object as the API server sends it."""
    return decode_pod(json.dumps(obj).encode())


def pod(*statuses: Json, **fields: Any) -> Pod:
    return parse_pod(pod_object(*statuses, **fields))


def table(*pods: Pod) -> PodTable:
    made = PodTable()
    made.replace([*pods], now=0.0)
    return made


def kill(
    container_id: str | None = IDS[0], *, uid: str = UID, path: str | None = None, comm: str = "java"
) -> Kill:
    inside = f"/kubepods/burstable/pod{uid}" + (f"/{container_id}" if container_id else "")
    task = path if path is not None else inside
    victim = Victim(pid=100, comm=comm)
    return Kill(scope=Scope.MEMCG, oom_memcg=task, task_memcg=task, victims=(victim,), kill_lines=1)
