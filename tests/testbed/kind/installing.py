"""oomkeeper itself on a cluster: its image on the nodes, its chart by helm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..cache import Say, silent
from ..errors import StartError, TestbedError
from ..operatorimage import OperatorImage, operator_image
from .cluster import KindCluster

NAMESPACE = "oomkeeper-system"
RELEASE = "oomkeeper"
CHART = Path(__file__).parents[3] / "charts" / "oomkeeper"
_WAIT = "180s"


def install_operator(
    cluster: KindCluster, *, say: Say = silent, settings: Mapping[str, str] | None = None
) -> None:
    """Build the image if need be, load it, install or upgrade the release, wait until all of it runs.

    `settings` are values of the chart, by their dotted names. Raises StartError with the pods as they are.
    """
    image = operator_image(say=say)
    load_operator_image(cluster, image, say=say)
    values = {
        "image.repository": image.repository,
        "image.tag": image.tag,
        **(settings or {}),
    }
    options = [option for name, value in values.items() for option in ("--set", f"{name}={value}")]
    say(f"installing the chart into {NAMESPACE}")
    # Helm never renews them, and the chart refuses schemas of another version.
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART / "crds"))
    command: list[str | Path] = [
        "upgrade",
        "--install",
        RELEASE,
        CHART,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
    ]
    try:
        cluster.helm(*command, *options, "--wait", "--timeout", _WAIT)
    except TestbedError as error:
        raise StartError(f"the chart does not come up: {error}\n{_pods(cluster)}") from error


def load_operator_image(cluster: KindCluster, image: OperatorImage, *, say: Say = silent) -> None:
    """Load it into the nodes that do not have it."""
    query = ["ctr", "--namespace", "k8s.io", "images", "list", "--quiet", f"name=={image.name}"]
    lacking = [node for node in cluster.nodes if not cluster.exec_in_node(node, query).strip()]
    if lacking:
        say(f"loading {image.name} into {', '.join(lacking)}")
        cluster.load_image(image.archive, nodes=lacking)


def _pods(cluster: KindCluster) -> str:
    pods = cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=wide", check=False)
    events = cluster.kubectl(
        "get", "events", f"--namespace={NAMESPACE}", "--sort-by=.lastTimestamp", check=False
    )
    return pods + "\n".join(events.splitlines()[-15:])
