"""Kills on cgroup v2 with memory.oom.group, and on one of two NUMA nodes: what no shared kernel can show."""

from __future__ import annotations

from .harness import MIB, Harness, Json, container, eventually

EAT = "sleep 1000 & sleep 2; tail /dev/zero; true"


def distinct(incident: Json) -> int:
    """Victims of the last kill, each once."""
    pids = [victim["pid"] for victim in incident["status"]["evidence"]["victims"]]
    assert len(set(pids)) == len(pids)
    return len(pids)


def test_group_kill_at_container_limit_reports_each_victim_once(
    harness: Harness,
) -> None:
    before, counted = harness.counters()["recorded"], harness.vmstat_oom_kill()
    # A sibling without a limit keeps the pod's own cgroup unbounded.
    harness.pod("group", container("hog", EAT, limit="48Mi"), container("side", "sleep 1000"))

    def complete() -> Json | None:
        # The first victim is published immediately, the others up to ten seconds later.
        found = harness.incident(visibility="Reported", outcome="KilledGroup")
        # The kernel prints, and counts, the first victim twice.
        return found if harness.vmstat_oom_kill() - counted == distinct(found) + 1 else None

    incident = eventually(complete)
    assert incident is not None
    status = incident["status"]
    assert (status["cause"], status["level"], status["outcome"]) == (
        "ContainerLimit",
        "Container",
        "KilledGroup",
    )
    assert (incident["spec"]["container"], status["evidence"]["limitBytes"]) == ("hog", 48 * MIB)
    assert status["evidence"]["reason"] == "OOMKilled"
    victims = distinct(incident)
    # tail and sh; sleep as well, where it has not yet died of sh, its namespace's init, before its turn.
    assert victims in (2, 3)
    kills = victims + 1
    eventually(lambda: harness.counters()["recorded"] - before == kills)  # written at intervals
    assert status["count"] == 1


def test_kill_at_pod_limit_ends_only_the_container_of_the_victim(
    harness: Harness,
) -> None:
    limit = {"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"memory": "64Mi", "cpu": "100m"}}
    # kubelet publishes no container's id before all are started, which takes its time here.
    wait = f"until [ -e /go/{harness.space} ]; do sleep 0.5; done; {EAT}"
    go = {"name": "go", "hostPath": {"path": "/run/testbed-go", "type": "DirectoryOrCreate"}}
    hog = container("hog", wait, volumeMounts=[{"name": "go", "mountPath": "/go"}])
    harness.pod("shared", hog, container("side", "sleep 1000"), resources=limit, volumes=[go])
    eventually(lambda: harness.get("pod", "shared")["status"]["phase"] == "Running")
    harness.node.sh(f"touch /run/testbed-go/{harness.space}")
    incident = harness.incident(visibility="Reported", outcome="KilledGroup")
    status = incident["status"]
    assert (status["cause"], status["level"], status["outcome"]) == ("PodLimit", "Pod", "KilledGroup")
    assert incident["spec"]["container"] == "hog"
    assert (status["evidence"]["limitBytes"], status["evidence"]["specLimitBytes"]) == (64 * MIB, 64 * MIB)
    assert distinct(incident) in (2, 3)
    states = {
        one["name"]: one["state"] for one in harness.get("pod", "shared")["status"]["containerStatuses"]
    }
    assert "running" in states["side"]
    harness.counters()


def test_process_bound_to_one_numa_node_exhausts_only_that_node(harness: Harness) -> None:
    touch = "b = bytearray(1200 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1"
    harness.pod("bound", container("hog", f"exec numactl --membind=1 python3 -c '{touch}'"))
    incident = harness.incident(cause="NUMAMemoryPolicy")
    evidence = incident["status"]["evidence"]
    assert evidence["constraint"] == "CONSTRAINT_MEMORY_POLICY"
    assert (evidence["nodemask"], evidence["memsAllowed"]) == ("1", "0-1")
    assert evidence["victims"][0]["comm"] == "python3"
    harness.counters()
