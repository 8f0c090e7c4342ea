"""The same kills as Kubernetes and as oomkeeper show them."""

from .harness import Harness
from .kills import NAMESPACE, incidents, pod_of
from .narration import Narrator
from .running import eventually

_EVENTS = (
    f"--namespace={NAMESPACE}",
    "--field-selector=reportingComponent=oomkeeper,involvedObject.kind=Pod",
)
"""The Events on the demo's pods."""


def show(harness: Harness, *, tell: Narrator) -> None:
    """Show pods, policies, nodes, the report, incidents and Events."""
    kubectl = harness.kubectl
    tell.step("The same kills, side by side")
    tell.say("What Kubernetes itself shows:")
    kubectl.show("get", "pods", f"--namespace={NAMESPACE}", empty_ok=False)
    # A crash loop keeps counting: wait for a moment at which the sums agree.
    total = eventually(lambda: _report_agrees(harness), what="OOMReport week counts what the incidents count")
    tell.say("Policies, nodes and the cluster's report:")
    kubectl.show("get", "oomp,oomn,oomr", empty_ok=False)
    tell.say("Every incident, with a one-sentence summary:")
    kubectl.show("get", "oomi", "--all-namespaces", "--output=wide", empty_ok=False)
    tell.fact(total >= 5, f"OOMReport week counted {total} kills, the sum over all incidents")

    tell.step("One incident in full: what to do about it")
    [name] = [one["metadata"]["name"] for one in incidents(harness) if pod_of(one) == "pair"]
    fields = '{.status.summary}{"\\n"}{range .status.advice[*]}{" - "}{.message}{"\\n"}{end}'
    advice = kubectl.show("get", "oomi", name, f"--namespace={NAMESPACE}", f"--output=jsonpath={fields}")
    tell.fact("eater" in advice and " - " in advice, "a sentence that a person understands, and what to do")
    tell.say("The pod has an Event as well:")
    told = eventually(lambda: _told(harness), what="an Event on each of the four pods")
    columns = "POD:.involvedObject.name,COUNT:.count,MESSAGE:.message"
    kubectl.show("get", "events", *_EVENTS, f"--output=custom-columns={columns}")
    tell.fact(len(told) >= 4, "an Event on each of the four pods")
    tell.done("kubectl get pods, oomp, oomn, oomr and oomi side by side; the Event on each pod")


def _report_agrees(harness: Harness) -> int:
    report = harness.kubectl.get("oomreport", "week").get("status", {}).get("totals", {}).get("kills", 0)
    counted = sum(
        one["status"]["count"]
        for one in harness.kubectl.items("oomincidents", "--all-namespaces")
        if one.get("status")
    )
    return int(report) if report == counted else 0


def _told(harness: Harness) -> list[str]:
    events = harness.kubectl.items("events", *_EVENTS)
    pods = {event["involvedObject"]["name"] for event in events}
    return sorted(pods) if len(pods) >= 4 else []
