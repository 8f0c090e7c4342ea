"""oom_score_adj by pod, on nodes that share one kernel: the example, applied as a reader would."""

from __future__ import annotations

from typing import Any

from .harness import Cluster, eventually
from .pods import REST, container, pod
from .test_policies import EXAMPLES, applied

LABELS = {"example.org/tier": "batch"}


def adjs(cluster: Cluster, namespace: str, name: str) -> set[str]:
    """oom_score_adj of the container's first process."""
    return set(
        cluster.kubectl(
            "exec", f"--namespace={namespace}", name, "--", "cat", "/proc/1/oom_score_adj"
        ).split()
    )


def totals(cluster: Cluster, policy: str) -> tuple[int, int]:
    """Pods that its one entry names, and processes that were not adjusted."""
    [total] = cluster.get("oompolicies", policy)["status"]["oomScoreAdjustments"]
    return total["pods"], total["failed"]


def labelled(name: str, labels: dict[str, str]) -> dict[str, Any]:
    made = pod(name, container("app", REST))
    made["metadata"]["labels"] = labels
    return made


def test_batch_pods_get_the_value_on_every_node_while_the_policy_exists(
    cluster: Cluster,
) -> None:
    with cluster.namespace("adjusted") as space:
        for name, labels in (("early", LABELS), ("other", {})):
            cluster.apply(labelled(name, labels), namespace=space)
        cluster.kubectl(
            "wait", f"--namespace={space}", "--for=condition=Ready", "pod", "--all", "--timeout=90s"
        )
        found = {name: adjs(cluster, space, name) for name in ("early", "other")}
        assert found["early"] != {"1000"}
        with applied(cluster, EXAMPLES["batch-dies-first"]) as name:
            eventually(lambda: adjs(cluster, space, "early") == {"1000"})
            cluster.apply(labelled("late", LABELS), namespace=space)
            cluster.kubectl(
                "wait", f"--namespace={space}", "--for=condition=Ready", "pod/late", "--timeout=90s"
            )
            eventually(lambda: adjs(cluster, space, "late") == {"1000"})
            assert adjs(cluster, space, "other") == found["other"]
            # The policy has been in sync since the first pod; its totals follow the agents' later words.
            eventually(lambda: totals(cluster, name) == (2, 0))
            eventually(lambda: cluster.conditions("oompolicies", name)["Ready"] == ("True", "InSync"))
        eventually(lambda: adjs(cluster, space, "early") == found["early"])
        eventually(lambda: adjs(cluster, space, "late") == found["early"])
