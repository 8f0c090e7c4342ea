"""Policies on the cluster: refused, applied, overridden by label, enforced after a manual change, deleted."""

from typing import Any

from oomkeeper.kernel.sysctl import Sysctls

from . import sysctls
from .harness import Harness
from .narration import Narrator
from .running import eventually

KEY = "vm.oom_kill_allocating_task"
LABEL = "example.org/many-tasks"
_AS_LINES = (
    '{range .status.sysctls[*]}{.name}{"  policy="}{.policy}{"  desired="}{.desired}{"  actual="}{.actual}'
    '{"  original="}{.original}{"  drifts="}{.driftCount}{"\\n"}{end}'
)
OF_EXAMPLES = (
    "examples/keep-defaults.yaml",
    "examples/kill-allocating-task.yaml",
    "examples/report-week.yaml",
)
"""Examples for a user's cluster: none that selects nodes by labels that they may have."""


def files(harness: Harness) -> list[str]:
    """Return kubectl's arguments for the applied examples."""
    return ["-f", "examples/"] if harness.own else [word for file in OF_EXAMPLES for word in ("-f", file)]


def show_applied(harness: Harness, *, tell: Narrator, before: dict[str, int]) -> None:
    """Apply the examples and show their effect."""
    kubectl = harness.kubectl
    tell.step("Apply policies")
    tell.say(
        "First a policy that would panic nodes at a container's limit, without the acknowledgement. The "
        "API server itself refuses it, and says what to write:"
    )
    complaint = kubectl.show_refused("apply", "--dry-run=server", "-f", "demo/refused.yaml")
    tell.fact("panicSafety.acknowledge" in complaint, "refused, with the way out in the message")
    tell.say("Then the examples; the comment at the top of each describes its purpose:")
    kubectl.show("apply", *files(harness))
    if harness.node is None:
        _show_pending(harness, tell=tell)
        return
    eventually(lambda: _ready(harness, "keep-defaults"), what="OOMPolicy keep-defaults is Ready", every=0.3)
    tell.say("keep-defaults applies to every node; here the node is this machine:")
    tell.table(sysctls.rows(before))
    tell.fact(sysctls.in_force({**dict.fromkeys(sysctls.SHOWN, 0), "vm.oom_dump_tasks": 1}),
              "OOMPolicy keep-defaults is Ready, and /proc/sys has its values")  # fmt: skip

    tell.step("A label selects a policy")
    tell.say(
        f"kill-allocating-task selects nodes by a label and has higher priority. When the node gets the "
        f"label, {KEY} becomes 1; within a container's limit it has no effect, so it is harmless here."
    )
    kubectl.show("label", "node", harness.node, f"{LABEL}=true")
    eventually(lambda: Sysctls().read(KEY) == 1, what=f"{KEY} is 1")
    tell.table(sysctls.rows(before))
    eventually(lambda: _entry(harness).get("actual") == 1, what="OOMNode says so", every=0.3)
    entry = _entry(harness)
    tell.fact(
        entry["policy"] == "kill-allocating-task" and entry["state"] == "InSync",
        f"{KEY} is 1, by policy kill-allocating-task; OOMNode.status says the same",
    )

    tell.step("A manual change")
    tell.say("The agent checks every 5 s; /proc/sys has no change notification.")
    tell.command(f"sysctl -w {KEY}=0")
    Sysctls().write(KEY, 0)
    tell.output(f"{KEY} = 0")
    eventually(lambda: Sysctls().read(KEY) == 1, what=f"the agent has put {KEY} back to 1")
    eventually(lambda: _entry(harness).get("driftCount") == 1, what="OOMNode counts the drift", every=0.3)
    tell.table(sysctls.rows(before))
    tell.say("The OOMNode reports the policy, the original value, and how often the value was corrected:")
    kubectl.show("get", "oomnode", harness.node, f"--output=jsonpath={_AS_LINES}")
    tell.fact(
        Sysctls().read(KEY) == 1 and _entry(harness)["driftCount"] == 1,
        "corrected to 1, and counted as one drift",
    )
    kubectl.show("get", "oompolicies")
    tell.done("policies applied, a label changed a node's settings, and a manual change was corrected")


def show_deleted(harness: Harness, *, tell: Narrator, before: dict[str, int]) -> None:
    """Delete the policies and show that the node's sysctls are restored."""
    tell.step("Delete the policies")
    tell.say("A sysctl without a policy gets its original value.")
    harness.kubectl.show("delete", *files(harness))
    if harness.node is None:
        return
    eventually(lambda: sysctls.in_force(before), what="the agent has given the sysctls back")
    eventually(lambda: not _entries(harness), what="OOMNode names no sysctl any more", every=0.3)
    tell.table(sysctls.rows(before))
    tell.fact(sysctls.in_force(before), "every sysctl is as it was before the first policy")
    tell.done("policies deleted, original values restored")


def _show_pending(harness: Harness, *, tell: Narrator) -> None:
    def matched() -> bool:
        status = harness.kubectl.get("oompolicy", "keep-defaults").get("status", {})
        return bool(status.get("nodes", {}).get("matched"))

    eventually(matched, what="the controller has matched the policy with the nodes", every=0.3)
    harness.kubectl.show("get", "oompolicies,oomnodes")
    tell.fact(
        matched(),
        "the controller has matched the policy with the nodes",
    )
    tell.not_shown("sysctls set on a node", why=harness.no_node)
    tell.done("policies applied and matched with nodes")


def _ready(harness: Harness, name: str) -> bool:
    status = harness.kubectl.get("oompolicy", name).get("status", {})
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))


def _entries(harness: Harness) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (
        harness.kubectl.get("oomnode", harness.node or "").get("status", {}).get("sysctls") or []
    )
    return entries


def _entry(harness: Harness) -> dict[str, Any]:
    return next((entry for entry in _entries(harness) if entry["name"] == KEY), {})
