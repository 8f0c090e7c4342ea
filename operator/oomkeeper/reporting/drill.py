"""The pods of a drill, and what became of their kills on the way to people. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from oomkeeper.model.escaping import printable
from oomkeeper.model.json_types import ForeignObject, JsonDocument

PASSED, FAILED, SKIPPED = "Passed", "Failed", "Skipped"
CONTAINER_LIMIT, POD_LIMIT, CHILD = "container", "pod", "child"
LEVELS = (CONTAINER_LIMIT, POD_LIMIT, CHILD)
LINKS = ("Pod", "Kernel", "Incident", "Event", "Metric", "Alert")
"""From the kill to people."""
WOULD_PANIC = 42
"""Exit code of a pod that finds vm.panic_on_oom 2: a kill at its limit would panic the node."""
_EATEN_BYTES = 256 << 20
"""At most: a limit that is not in force costs the node no more than this."""
_LIMIT = "32Mi"
_CHECK = f'[ "$(cat /proc/sys/vm/panic_on_oom 2>/dev/null)" = 2 ] && exit {WOULD_PANIC}'
_EAT = f"head -c {_EATEN_BYTES} /dev/zero | tail > /dev/null"
# `tail` keeps what it has read until there is a line's end, and zeros have none.
_SCRIPTS = {
    CONTAINER_LIMIT: f"{_CHECK}\n{_EAT}\nexit $?",
    POD_LIMIT: f"{_CHECK}\n{_EAT}\nexit $?",
    CHILD: f"{_CHECK}\n{_EAT}\necho child ended with $?\nexec sleep 600",
}
CHILD_ENDED = "child ended with 137"
_SAMPLE = re.compile(r"oomkeeper_oom_kills_total\{([^}]*)\} ([0-9.e+]+)")


class Link(NamedTuple):
    """One step that a kill took, or did not."""

    level: str
    name: str
    result: str
    message: str


def drill_pod(level: str, *, namespace: str, image: str, node: str | None) -> JsonDocument:
    """Return the pod that is killed at one level. It needs no rights and runs as an unprivileged user."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    eater: JsonDocument = {
        "name": "eater",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _SCRIPTS[level]],
        "securityContext": restricted,
    }
    resources = {"limits": {"memory": _LIMIT}, "requests": {"memory": _LIMIT, "cpu": "10m"}}
    spec: JsonDocument = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "activeDeadlineSeconds": 900,
        "terminationGracePeriodSeconds": 0,
        "containers": [eater],
    }
    if level == POD_LIMIT:
        idle = eater | {"name": "idle", "command": ["sh", "-c", "exec sleep 600"]}
        spec |= {"containers": [eater, idle], "resources": resources}
    else:
        eater["resources"] = resources
    if node is not None:
        spec["nodeName"] = node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"drill-{level}", "namespace": namespace},
        "spec": spec,
    }


def started(pod: ForeignObject) -> bool:
    """Return whether the eater has run."""
    state = _eater(pod)
    return bool(state.get("running") or state.get("terminated"))


def waiting_reason(pod: ForeignObject) -> str:
    """Return why the eater does not run yet."""
    return waiting_text(pod, container="eater")


def waiting_text(pod: ForeignObject, *, container: str) -> str:
    """Return why a container does not run yet; empty where its status does not tell."""
    waiting = _state(pod, container).get("waiting") or {}
    unscheduled = next(
        (
            str(one.get("message"))
            for one in (pod.get("status") or {}).get("conditions") or ()
            if one.get("type") == "PodScheduled" and one.get("status") == "False"
        ),
        "",
    )
    return ": ".join(filter(None, (waiting.get("reason"), waiting.get("message")))) or unscheduled


def ended(pod: ForeignObject) -> ForeignObject | None:
    """Return how the eater ended (terminated state); None while it runs."""
    return _eater(pod).get("terminated")


def _eater(pod: ForeignObject) -> ForeignObject:
    return _state(pod, "eater")


def _state(pod: ForeignObject, container: str) -> ForeignObject:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((one.get("state") or {} for one in statuses if one.get("name") == container), {})


def incident_of(incidents: Iterable[ForeignObject], *, uid: str) -> ForeignObject | None:
    """Return the incident with a kill of this pod."""
    for one in incidents:
        for kill in (one.get("status") or {}).get("kills") or ():
            if kill.get("podUID") == uid:
                return one
    return None


def own_event(events: Iterable[ForeignObject], *, uid: str) -> ForeignObject | None:
    """Return the Event on this pod that oomkeeper wrote."""
    for one in events:
        by = str(one.get("reportingComponent") or (one.get("source") or {}).get("component") or "")
        if by.startswith("oomkeeper") and (one.get("involvedObject") or {}).get("uid") == uid:
            return one
    return None


def kills_in(metrics: str, *, namespace: str) -> float:
    """Return how many kills of a namespace an agent's metrics count."""
    label = f'namespace="{namespace}"'
    return sum(float(value) for labels, value in _SAMPLE.findall(metrics) if label in labels)


def broken(links: Sequence[Link]) -> list[Link]:
    """Return the first failure of each level."""
    found: dict[str, Link] = {}
    for one in links:
        if one.result == FAILED:
            found.setdefault(one.level, one)
    return [*found.values()]


def link_text(link: Link) -> str:
    """Return one line about a link."""
    return printable(f"{link.level:<9}  {link.name:<8}  {link.result:<7}  {link.message}".rstrip())


def conclusion(links: Sequence[Link]) -> Iterator[str]:
    """Yield the result of the drill."""
    failures = broken(links)
    for one in failures:
        yield printable(f"Broken: {one.level}: {one.name}: {one.message}")
    if not failures:
        skipped = sum(one.result == SKIPPED for one in links)
        checked = len(links) - skipped
        yield f"Every link that was checked works ({checked} checked, {skipped} skipped)."
