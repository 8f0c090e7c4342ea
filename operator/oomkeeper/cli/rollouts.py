"""Read the ReplicaSets that a report's kills began with: at most one for each of its first workloads."""

from collections.abc import Sequence
from urllib.parse import quote

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.times import parse_time
from oomkeeper.reporting.cluster_report import ClusterReport, incidents_of_workloads, with_beginnings
from oomkeeper.reporting.kill_streak import Rollout, Streak, streak_of, streak_sentence
from oomkeeper.resources.oomincident import OOMIncident

MAX_WORKLOADS = 10
_REVISION = "deployment.kubernetes.io/revision"


def with_rollouts(
    client: ApiClient, report: ClusterReport, incidents: Sequence[OOMIncident], *, now: float
) -> ClusterReport:
    """Return the report with the beginning of the kills of its first workloads. A ReplicaSet that is gone or
    may not be read leaves out the revision. Raises ApiError for a lost connection."""
    rows = report.workloads[:MAX_WORKLOADS]
    sentences = []
    for row, objects in zip(rows, incidents_of_workloads(incidents, rows), strict=True):
        streak = streak_of(objects, now=now)
        rollout = None
        if streak is not None and streak.replica_set and row.namespace:
            rollout = _rollout(client, streak, namespace=row.namespace, deployment=row.name)
        sentences.append(streak_sentence(streak, rollout) if streak is not None else None)
    return with_beginnings(report, sentences)


def _rollout(client: ApiClient, streak: Streak, *, namespace: str, deployment: str) -> Rollout | None:
    name = quote(streak.replica_set or "", safe="")
    try:
        obj = client.get(f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/replicasets/{name}")
    except ApiError as error:
        if error.status is None:
            raise
        return None
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        return None
    owners = metadata.get("ownerReferences")
    annotations = metadata.get("annotations")
    created = parse_time(metadata.get("creationTimestamp"))
    owned = isinstance(owners, list) and any(
        isinstance(owner, dict) and (owner.get("kind"), owner.get("name")) == ("Deployment", deployment)
        for owner in owners
    )
    if not owned or created is None:
        return None
    revision = annotations.get(_REVISION) if isinstance(annotations, dict) else None
    return Rollout(str(revision or "")[:20], created)
