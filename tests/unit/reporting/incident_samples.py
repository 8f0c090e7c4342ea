"""OOMIncidents as agents write them, for the tests of `kubectl oom`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

MIB = 1 << 20
Json = dict[str, Any]
POD_UID = "0b5e6b1e-2222-4333-8444-555566667777"


def stamp(moment: datetime) -> str:
    """The time as the API server takes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def incident(
    name: str = "web-app-0123456789",
    *,
    namespace: str = "shop",
    workload: tuple[str, str] | None = ("Deployment", "web"),
    container: str | None = "app",
    cause: str = "ContainerLimit",
    node: str = "n1",
    comm: str = "java",
    kills: int = 1,
    last: datetime = datetime(2026, 11, 23, 9, tzinfo=UTC),
    apart: timedelta = timedelta(minutes=7),
    ran: timedelta | None = timedelta(seconds=40),
    limit_mib: int | None = 64,
    limits_mib: tuple[int, ...] = (),
    used_mib: int | None = None,
    spec_limit_mib: int | None = None,
    parts: tuple[tuple[str, int], ...] = (("Anonymous", 96), ("KernelSlab", 3)),
    advice: tuple[tuple[str, str], ...] = (("FitLimit", "If this usage is normal, raise the limit."),),
    pod: str = "web-5d4f7c9b8-x2x7k",
) -> Json:
    """One incident; `limits_mib` are the limits of its kills, the newest first (default: all `limit_mib`)."""
    usage_mib = used_mib if used_mib is not None else limit_mib
    spec: Json = {"nodeName": node, "cause": cause}
    if workload is not None:
        spec["workload"] = {"kind": workload[0], "name": workload[1]}
        if container:
            spec["container"] = container
    else:
        spec["cgroup"] = "/system.slice/db.service"
    ring = []
    for place in range(min(kills, 10)):
        when = last - apart * place
        limit = limits_mib[place] if place < len(limits_mib) else limit_mib
        kill: Json = {
            "id": f"boot-{place}",
            "time": stamp(when),
            "comm": comm,
            "pid": 4000 - place,
            "anonRssBytes": int((limit or 64) * MIB * 0.95),
            **({"containerSurvived": False} if workload is not None else {}),
        }
        if limit is not None:
            kill |= {"limitBytes": limit * MIB, "usageBytes": limit * MIB}
        if workload is not None:
            kill |= {"pod": pod, "podUID": POD_UID, "containerID": "a" * 64, "visibility": "Reported"}
            if ran is not None:
                kill["startedAt"] = stamp(when - ran)
        ring.append(kill)
    evidence: Json = {
        "contributors": [
            {"name": part, "bytes": (usage_mib or 64) * MIB * share // 100, "sharePercent": share}
            for part, share in parts
        ],
        "victims": [
            {
                "pid": 4000,
                "comm": comm,
                "uid": 1000,
                "totalVmBytes": 900 * MIB,
                "anonRssBytes": 60 * MIB,
                "fileRssBytes": 0,
                "shmemRssBytes": 0,
                "oomScoreAdj": 984,
            }
        ],
        "invoker": {"comm": comm, "pid": 4000, "oomScoreAdj": 984},
        "order": 0,
        "gfp": "0xcc0(GFP_KERNEL)",
        "taskMemcg": "/kubepods.slice/kubepods-burstable.slice/pod1/cri-containerd-1.scope",
    }
    if limit_mib is not None:
        evidence |= {
            "limitBytes": limit_mib * MIB,
            "usageBytes": (usage_mib or 0) * MIB,
            "bindingCounter": "Memory",
            "oomMemcg": evidence["taskMemcg"],
            "specLimitBytes": (spec_limit_mib or limit_mib) * MIB,
            "reason": "OOMKilled",
            "exitCode": 137,
        }
    summary = f"Container {container} of pod {namespace}/{pod} reached its memory limit of {limit_mib} MiB."
    return {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMIncident",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"oomkeeper.dev/cause": cause, "oomkeeper.dev/node": node},
        },
        "spec": spec,
        "status": {
            "cause": cause,
            **({"level": "Container"} if limit_mib is not None else {}),
            "outcome": "Killed",
            "visibility": "Reported" if workload is not None else "Host",
            "confidence": "High",
            "count": kills,
            "firstSeen": stamp(last - apart * (kills - 1)),
            "lastSeen": stamp(last),
            "summary": summary,
            "advice": [{"remedy": remedy, "message": message} for remedy, message in advice],
            "evidence": evidence,
            "kills": ring,
            "history": [{"hour": stamp(last.replace(minute=0, second=0)), "kills": kills}],
        },
    }
