"""Real pods, real kills, and what the cluster reports."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from .harness import Harness
from .narration import DemoError, Narrator
from .running import CHECKOUT, eventually

NAMESPACE = "oom-demo"
PODS = CHECKOUT / "demo" / "pods"
LIMIT_BYTES = 48 << 20
ATTEMPTS = 3
RATE_LIMIT_SECONDS = 5.0
LEAKY = {"kind": "Deployment", "name": "leaky"}

Object = dict[str, Any]


def show(harness: Harness, *, folder: Path, tell: Narrator) -> None:
    """Show pods that are killed, and the incident of each."""
    kubectl = harness.kubectl
    tell.step("Let the kernel kill some pods")
    tell.say(
        "Four pods with limits of 48 MiB that use more memory: a pod with one container (lone), a pod with "
        "two containers, one of them over its limit (pair), a Deployment that is restarted (leaky), and "
        "a pod whose child process is killed while the container keeps running (worker)."
    )
    kubectl.show("create", "namespace", NAMESPACE)
    manifests = _manifests(harness, folder=folder)
    kubectl.show("apply", f"--namespace={NAMESPACE}", "-f", str(manifests))
    group_kill = _kills_whole_containers(harness)
    await_explained = partial(_await_explained, harness, manifests=manifests, tell=tell)
    lone, lone_kills = await_explained("lone", visibility="Reported")
    pair, pair_kills = await_explained("pair", visibility="Reported")
    leaky = _await(
        harness,
        lambda one: (
            one["spec"].get("workload") == LEAKY and one["status"]["count"] >= 2 and _is_explained(one)
        ),
        what="an incident of Deployment leaky that has counted to 2",
    )
    tell.say(
        "The agent read victim and limit in the kernel log. Then kubelet has 15 s to report OOMKilled; "
        "without that, the incident's visibility becomes Invisible."
    )
    seen = "Reported" if group_kill else "Invisible"
    worker, worker_kills = await_explained("worker", visibility=seen)

    _check(
        lone,
        causes=("ContainerLimit",),
        count=range(1, lone_kills + 1),
        tell=tell,
        text=f"lone: killed, cause {_cause(lone)}, limit 48 MiB",
    )
    tell.fact(
        _reason(harness, "lone", "eater") == "OOMKilled",
        "lone: kubelet says OOMKilled as well, so visibility is Reported",
    )
    _check(
        pair,
        causes=("ContainerLimit",),
        count=range(1, pair_kills + 1),
        tell=tell,
        text="pair: cause ContainerLimit, and it names the container eater",
    )
    tell.fact(
        pair["spec"]["container"] == "eater" and _is_running(harness, "pair", "web"),
        "pair: its other container, web, goes on",
    )
    _check(
        leaky,
        causes=("ContainerLimit",),
        count=range(2, leaky["status"]["count"] + 1),
        tell=tell,
        text=f"leaky: one incident has counted {leaky['status']['count']} kills so far",
    )
    _check(
        worker,
        causes=("ContainerLimit",),
        count=range(1, worker_kills + 1),
        tell=tell,
        text=f"worker: cause {_cause(worker)}, visibility {seen}",
    )
    if not group_kill:
        tell.fact(
            _is_running(harness, "worker", "main") and _restarts(harness, "worker") == 0,
            "worker: Kubernetes shows it Running with 0 restarts; only the kernel knew",
        )
    tell.done(
        "real pods killed by the real kernel: one incident each, with correct cause, limit, victim and count"
    )


def _manifests(harness: Harness, *, folder: Path) -> Path:
    """Return demo/pods, or on a user's cluster a copy with its image, bound to the node of the agent."""
    if harness.own:
        return PODS.relative_to(CHECKOUT)
    target = folder / "pods"
    target.mkdir()
    for file in sorted(PODS.glob("*.yaml")):
        manifest = yaml.safe_load(file.read_text())
        spec = manifest["spec"].get("template", manifest)["spec"]
        spec["nodeName"] = harness.node
        spec["tolerations"] = [{"operator": "Exists"}]
        for container in spec["containers"]:
            container["image"] = harness.image
        (target / file.name).with_suffix(".json").write_text(json.dumps(manifest))
    return target


def _await(harness: Harness, wanted: Callable[[Object], bool], *, what: str) -> Object:
    def look() -> Object | None:
        return next((one for one in incidents(harness) if wanted(one)), None)

    return eventually(look, what=what, seconds=90, every=0.5)


def _await_explained(
    harness: Harness, pod: str, *, manifests: Path, visibility: str, tell: Narrator
) -> tuple[Object, int]:
    """Return the incident of a fully reported kill, and how often the pod was killed for it.

    The kernel prints at most ten reports in 5 s for the whole machine. If other kills have used them up, the
    pod is created again. Raises DemoError after three such kills.
    """
    unreported: set[str] = set()

    def is_wanted(one: Object) -> bool:
        return pod_of(one) == pod and _says(one, visibility) and _last_kill(one) not in unreported

    while len(unreported) < ATTEMPTS:
        found = _await(harness, is_wanted, what=f"an incident of pod {pod}, {visibility}")
        if _is_explained(found):
            return found, len(unreported) + 1
        unreported.add(_last_kill(found))
        tell.say(
            f"The kernel printed no report of the kill in pod {pod}: other processes of this machine were "
            "killed in the same 5 s. It is recorded and counted all the same. Once more, for a full report:"
        )
        time.sleep(RATE_LIMIT_SECONDS)
        [file] = (CHECKOUT / manifests).glob(f"{pod}.*")
        shown = file.relative_to(CHECKOUT) if file.is_relative_to(CHECKOUT) else file
        harness.kubectl.show("replace", "--force", f"--namespace={NAMESPACE}", "-f", str(shown))
    raise DemoError(
        f"the kernel printed no report of {ATTEMPTS} kills in pod {pod}: too many other OOM kills here"
    )


def _is_explained(incident: Object) -> bool:
    """Return whether the last kill had a full report, which begins with the task that requested memory."""
    return incident["status"].get("evidence", {}).get("invoker") is not None


def _last_kill(incident: Object) -> str:
    kills = incident["status"].get("kills") or [{}]
    return str(kills[0].get("id"))


def _check(incident: Object, *, causes: tuple[str, ...], count: range, tell: Narrator, text: str) -> None:
    status = incident["status"]
    tell.fact(
        _cause(incident) in causes
        and status["count"] in count
        and status["evidence"].get("limitBytes") == LIMIT_BYTES
        and status["kills"][0].get("comm") == "tail"
        and status["outcome"] in ("Killed", "KilledGroup"),
        text,
    )


def incidents(harness: Harness) -> list[Object]:
    return [
        one for one in harness.kubectl.items("oomincidents", f"--namespace={NAMESPACE}") if one.get("status")
    ]


def pod_of(incident: Object) -> str | None:
    kills = incident["status"].get("kills") or [{}]
    name: str | None = kills[0].get("pod")
    return name


def _cause(incident: Object) -> str:
    return str(incident["status"]["cause"])


def _says(incident: Object, visibility: str) -> bool:
    return bool(incident["status"].get("visibility") == visibility)


def _status(harness: Harness, pod: str, container: str) -> Object:
    statuses = harness.kubectl.get("pod", pod, f"--namespace={NAMESPACE}")["status"].get(
        "containerStatuses", []
    )
    return next((one for one in statuses if one["name"] == container), {})


def _reason(harness: Harness, pod: str, container: str) -> str | None:
    reason: str | None = _status(harness, pod, container).get("state", {}).get("terminated", {}).get("reason")
    return reason


def _is_running(harness: Harness, pod: str, container: str) -> bool:
    return "running" in _status(harness, pod, container).get("state", {})


def _restarts(harness: Harness, pod: str) -> int:
    return int(_status(harness, pod, "main").get("restartCount", -1))


def _kills_whole_containers(harness: Harness) -> bool:
    """Return whether a kill ends the whole container: kubelet sets memory.oom.group on cgroup v2 unless
    told otherwise (singleProcessOOMKill, pkg/kubelet/apis/config/types.go).
    """
    status = harness.kubectl.get("oomnode", harness.node or "")["status"]
    single = (status.get("kubelet") or {}).get("singleProcessOOMKill")
    return bool(status["kernel"].get("cgroupVersion") == 2 and single is not True)
