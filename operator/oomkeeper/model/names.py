"""Names that several packages share: API group, kinds, field managers, labels."""

GROUP = "oomkeeper.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

AGENT_MANAGER = "oomkeeper-agent"
"""Server-side-apply field manager of the agents."""
CONTROLLER_MANAGER = "oomkeeper-controller"
"""Server-side-apply field manager of the controller."""

NODE_LABEL = f"{GROUP}/node"
"""Label of an OOMIncident: the node it happened on."""
CAUSE_LABEL = f"{GROUP}/cause"
KILLER_LABEL = f"{GROUP}/killer"
"""Label of a ContainerKill: what killed."""
WORKLOAD_LABEL = f"{GROUP}/workload"
WORKLOAD_KIND_LABEL = f"{GROUP}/workload-kind"

ROLLOUT_ANNOTATION = f"{GROUP}/rollout"
"""Annotation of an OOMPolicy: a person pauses or resumes its rollout."""

ROLLOUT_PAUSE, ROLLOUT_RESUME = "paused", "resume"
"""Values of that annotation. `resume` may have any suffix: only a value that was not read before resumes."""

PANIC_BREAKER_ANNOTATION = f"{GROUP}/panic-breaker"
"""Annotation of an OOMPolicy: a person resets its panic breaker."""

NOTIFIED_ANNOTATION = f"{GROUP}/notified"
"""Annotation of an OOMIncident: the controller has sent so many of its kills to the webhook."""

PANIC_CORDON_ANNOTATION = f"{GROUP}/panic-cordon"
"""Annotation of a Node: the last OOM panic after which oomkeeper decided whether to cordon it."""

PLAN_ANNOTATION = f"{GROUP}/plan-request"
"""Annotation of an OOMNode: settings whose effect its agent reports in status.plan until it expires."""

CLI_MANAGER = "kubectl-oom"
"""Field manager of what `kubectl oom` writes for a person."""

STATE_DIR = "/var/lib/oomkeeper"
"""Default folder of a node's state."""

_ACRONYMS = {"id": "ID", "oom": "OOM"}


def wire_name(attribute: str) -> str:
    """Return an attribute's spelling in JSON: `boot_id` is `bootID`, `oom_score_adj` is `oomScoreAdj`."""
    first, *rest = attribute.split("_")
    return first + "".join(_ACRONYMS.get(part, part.capitalize()) for part in rest)
