"""Incidents of a busy week, as agents publish them: the same ones each time."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

_CAUSES = {
    "ContainerLimit": (
        70,
        "FitLimit",
        "Container app of pod {pod} reached its memory limit of {limit} MiB",
        "Set the memory limit of container app to {more}Mi: its peaks no longer grow.",
    ),
    "PodLimit": (
        10,
        "FitLimit",
        "Pod {pod} reached its memory limit of {limit} MiB",
        "Set the memory limit of the pod to {more}Mi.",
    ),
    "NodeMemory": (
        8,
        "GrowNode",
        "The node ran out of memory (used by pod {pod} among others)",
        "Use nodes with more memory, or set memory requests so that fewer pods are scheduled there.",
    ),
    "NodeAllocatableLimit": (
        5,
        "MatchRequests",
        "All pods of the node together reached node allocatable ({pod} used most)",
        "Set the memory request of container app to its usage of {limit} MiB.",
    ),
    "QOSLimit": (
        3,
        "MatchRequests",
        "The Burstable pods of the node reached their limit ({pod} used most)",
        "Set the memory request of container app to its usage of {limit} MiB.",
    ),
    "CgroupLimit": (
        3,
        "FitLimit",
        "The unit's cgroup reached its memory limit of {limit} MiB",
        "Raise MemoryMax to {more}M: `systemctl set-property unit.service MemoryMax={more}M`",
    ),
    "Fragmentation": (
        1,
        "CompactMemory",
        "No block of 16 pages was free, although memory was (pod {pod})",
        "Compact memory: `echo 1 > /proc/sys/vm/compact_memory`",
    ),
}
_NAMES = ("web", "api", "worker", "cache", "ingest", "search", "billing", "export", "auth", "feed", "etl")
_LEAK = "{comm} grows by about 12 MiB an hour: compare two heap profiles an hour apart."
_COMMS = ("java", "node", "python3", "postgres", "gunicorn: work", "redis-server", "chrome", "php-fpm")


def incidents(count: int, *, kills: int, now: datetime, seed: int = 16) -> Iterator[Json]:
    """Yield `count` incidents with about `kills` kills in the week before `now`; few have most of them."""
    chance = random.Random(seed)
    weights = [1 / (place + 3) ** 0.9 for place in range(count)]
    whole = sum(weights)
    for place, weight in enumerate(weights):
        yield _incident(place, max(1, round(kills * weight / whole)), now=now, chance=chance)


def _incident(place: int, kills: int, *, now: datetime, chance: random.Random) -> Json:
    cause = chance.choices(list(_CAUSES), [entry[0] for entry in _CAUSES.values()])[0]
    _, remedy, sentence, advice = _CAUSES[cause]
    name = f"{chance.choice(_NAMES)}-{place // 2}"
    namespace, node = f"team-{place % 60:02}", f"node-{chance.randrange(200):03}"
    limit = chance.choice((64, 128, 256, 512, 1024, 2048, 4096)) << 20
    comm = chance.choice(_COMMS)
    times = sorted((now - timedelta(seconds=_age(chance)) for _ in range(kills)), reverse=True)
    hours: dict[datetime, int] = {}
    for time in times:
        hour = time.replace(minute=0, second=0, microsecond=0)
        hours[hour] = hours.get(hour, 0) + 1
    pod = f"{name}-7f9c6d5b8-{place:05x}"
    mib = limit >> 20
    summary = sentence.format(pod=f"{namespace}/{pod}", limit=mib)
    spec: Json = {"nodeName": node, "cause": cause}
    if cause == "CgroupLimit":
        spec["cgroup"] = f"/system.slice/{name}.service"
    else:
        spec |= {"workload": {"kind": "Deployment", "name": name}, "container": "app"}
    return {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMIncident",
        "metadata": {"name": f"{name}-{cause.lower()}-{place:05}", "namespace": namespace},
        "spec": spec,
        "status": {
            "cause": cause,
            "outcome": "Killed",
            "visibility": "Reported",
            "confidence": "High",
            "count": kills,
            "firstSeen": _stamp(times[-1]),
            "lastSeen": _stamp(times[0]),
            "summary": f"{summary}; the kernel killed {comm} (pid {4000 + place}, {mib} MiB resident).",
            "advice": [
                {"remedy": remedy, "message": advice.format(limit=mib, more=mib * 5 // 4)},
                *([{"remedy": "FindLeak", "message": _LEAK.format(comm=comm)}] if place % 4 == 0 else ()),
            ],
            "evidence": {
                "limitBytes": limit,
                "usageBytes": limit,
                "contributors": [
                    {"name": "Anonymous", "bytes": limit * 88 // 100, "sharePercent": 88},
                    {"name": "PageCache", "bytes": limit * 7 // 100, "sharePercent": 7},
                    {"name": "KernelSlab", "bytes": limit * 5 // 100, "sharePercent": 5},
                ],
            },
            "kills": [
                {
                    "id": f"0f6d3c1e-7b1f-4f0e-9c38-a7de1f5cbb00-{place}-{number}",
                    "time": _stamp(time),
                    "pod": pod,
                    "podUID": f"2a1c6a1e-0000-4000-8000-{place:012d}",
                    "comm": comm,
                    "pid": 4000 + place + number,
                    "usageBytes": limit - chance.randrange(limit >> 6),
                    "limitBytes": limit,
                    "anonRssBytes": limit * 88 // 100,
                    "visibility": "Reported",
                }
                for number, time in enumerate(times[:10])
            ],
            "history": [
                {"hour": _stamp(hour), "kills": number} for hour, number in sorted(hours.items())[-168:]
            ],
        },
    }


def _age(chance: random.Random) -> float:
    """Return seconds before now: more by day than by night, and a bad afternoon."""
    if chance.random() < 0.15:
        return 2.3 * 86400 + chance.gauss(0, 4000)
    while True:
        age = chance.uniform(60, 7 * 86400 - 60)
        if chance.random() < 0.35 + 0.65 * abs((age / 43200) % 2 - 1):
            return age


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
