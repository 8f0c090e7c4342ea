"""Whether a node has a working agent: by the readiness of the agent's pod (docs/decisions/108).

kubelet runs the pod's readiness probe, so an agent that hangs is not ready within seconds, and the node
lifecycle controller marks the pods of a dead node. Nothing is written for it while nothing happens.
"""

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # kubectl oom plan comes here without the controller's HTTP client
    from .agent_pods import AgentPod

GRACE_SECONDS = 60.0
"""How long an agent may be away: a restart or an update is no failure."""


class AgentHealth(NamedTuple):
    """State of one node's agent."""

    state: str
    """Running; AgentSilent: its pod is not ready; Unmanaged: no pod; Unknown: not (yet) judged."""
    message: str = ""

    @property
    def away(self) -> bool:
        """Whether the agent is known not to work."""
        return self.state in ("AgentSilent", "Unmanaged")


UNKNOWN = AgentHealth("Unknown")
RUNNING = AgentHealth("Running")


class AgentHealths:
    """Remembers per node since when its agent is away, on the controller's own clock."""

    def __init__(self) -> None:
        self._away_since: dict[str, float] = {}

    def judge(self, node: str, pods: Iterable["AgentPod"], *, now: float) -> AgentHealth:
        """Return the health of a node's agent. `now`: seconds on a monotonic clock."""
        pods = list(pods)
        if any(pod.ready for pod in pods):
            self._away_since.pop(node, None)
            return RUNNING
        since = self._away_since.setdefault(node, now)
        if now - since < GRACE_SECONDS:
            return UNKNOWN
        if not pods:
            message = "no agent pod on this node: check the DaemonSet's nodeSelector and tolerations"
            return AgentHealth("Unmanaged", message)
        pod = min(pods)
        return AgentHealth(
            "AgentSilent",
            f"agent pod {pod.name} is not ready" + (f": {pod.problem}" if pod.problem else ""),
        )

    def keep(self, nodes: Container[str]) -> None:
        """Forget all other nodes."""
        self._away_since = {node: since for node, since in self._away_since.items() if node in nodes}
