"""The panic breaker and panicSafety.cordon, with two real panics in a row."""

from __future__ import annotations

from .harness import Harness, Json, container, eventually
from .test_panic import ACCEPTED, EAT_ONCE, PANIC, PANIC_ON_OOM, in_force

POLICY = "breaker"
SOAK_SECONDS = 180
"""From Ready: under emulation the agent reports the panic up to a minute later."""
ANYWHERE = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]
"""A cordon keeps the test from waiting."""


def eat(harness: Harness, name: str) -> None:
    once = {"name": "once", "hostPath": {"path": "/var/lib/testbed-once", "type": "DirectoryOrCreate"}}
    eater = container("eater", EAT_ONCE, limit="48Mi", volumeMounts=[{"name": "once", "mountPath": "/once"}])
    # The name of the pod is the name of the file by which it eats once.
    harness.pod(f"{name}-{harness.space}", eater, volumes=[once], tolerations=ANYWHERE)


def panic(harness: Harness, name: str) -> None:
    """Have a pod panic the node, and wait until it is back."""
    boot = harness.node.boot_id()
    assert boot is not None
    eat(harness, name)
    harness.node.wait_ready(other_than=boot)


def breaker(harness: Harness) -> Json:
    found: Json = harness.get("oompolicy", POLICY)["status"]["panicBreaker"]
    return found


def conditions(harness: Harness) -> dict[str, tuple[str, str]]:
    listed = harness.get("oompolicy", POLICY)["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in listed}


def cordoned(harness: Harness) -> bool:
    return bool(harness.get("node", harness.node.name)["spec"].get("unschedulable"))


def reasons(harness: Harness) -> set[str]:
    return {one["reason"] for one in harness.items_in("events", "default")}


def test_second_panic_trips_the_breaker_until_a_person_resets_it(harness: Harness) -> None:
    harness.policy(
        POLICY,
        sysctls={PANIC_ON_OOM: 2, PANIC: 2},
        acknowledge=ACCEPTED,
        panicSafety={"maxPanics": 1, "window": "1h", "cordon": True},
        rollout={"soakSeconds": SOAK_SECONDS},
    )
    eventually(lambda: in_force(harness))

    panic(harness, "first")
    eventually(lambda: breaker(harness)["panics"] == 1)
    assert not breaker(harness)["tripped"]
    eventually(lambda: cordoned(harness))
    eventually(lambda: "NodeCordoned" in reasons(harness))
    eventually(lambda: in_force(harness))  # kubelet has written 0

    panic(harness, "second")
    eventually(lambda: breaker(harness)["tripped"])
    assert breaker(harness)["panics"] == 2
    eventually(lambda: harness.in_guest(PANIC_ON_OOM) == 0)
    eventually(lambda: harness.sysctl(PANIC_ON_OOM)["desired"] == 0)
    assert conditions(harness)["PanicBreaker"] == ("True", "PanicBreakerTripped")
    assert conditions(harness)["Stalled"] == ("True", "PanicBreakerTripped")
    assert conditions(harness)["Ready"] == ("False", "PanicBreakerTripped")
    assert harness.in_guest(PANIC) == 2, "other values of the policy stay"
    eventually(lambda: "PanicBreakerTripped" in reasons(harness))

    # The same pod that would panic the node is killed now.
    boot = harness.node.boot_id()
    eat(harness, "third")
    killed = eventually(lambda: [one for one in harness.items("oomincidents") if _is_killed(one)])
    assert killed[0]["status"]["cause"] == "ContainerLimit"
    assert harness.node.boot_id() == boot

    reset = ("annotate", "oompolicy", POLICY, "oomkeeper.dev/panic-breaker=reset", "--overwrite")
    harness.node.kubectl(*reset)
    eventually(lambda: not breaker(harness)["tripped"])
    eventually(lambda: in_force(harness))
    eventually(lambda: "PanicBreaker" not in conditions(harness))
    eventually(lambda: not cordoned(harness), seconds=SOAK_SECONDS + 150.0)


def _is_killed(incident: Json) -> bool:
    outcome = incident.get("status", {}).get("outcome")
    return outcome in ("Killed", "KilledGroup")
