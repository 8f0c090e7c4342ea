"""A node's kernel log through a privileged pod that is deleted in any case; needs no oomkeeper there."""

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.reporting.drill import waiting_text

from .cluster import get_if_exists
from .cluster_client import ClusterClient
from .errors import CliError
from .explain_logs import explain_logs

WAIT_SECONDS = 90
_READ_SECONDS = 5
_POLL_SECONDS = 1.0
_MOST_LOG_BYTES = 64 << 20
_CONTAINER = "log"
# A reader of /dev/kmsg gets every record that the ring buffer holds, with its facility, and then waits.
_SCRIPT = f"[ -r /dev/kmsg ] || exec dmesg -r; timeout {_READ_SECONDS} cat /dev/kmsg; exit 0"


def explain_node_log(client: ClusterClient, *, node: str, namespace: str, image: str, output: str) -> int:
    """Print the OOM kills in a node's kernel log; return the exit status. Raises ApiError, and CliError where
    the pod does not run."""
    if get_if_exists(client, f"/api/v1/nodes/{quote(node, safe='')}") is None:
        raise CliError(f"node {node} not found")
    with _pod(client, node=node, namespace=namespace, image=image) as path:
        _await_end(client, path)
        log = client.text(f"{path}/log", most_bytes=_MOST_LOG_BYTES, container=_CONTAINER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"kernel-log-of-{node}"
        file.write_text(log)
        return explain_logs([str(file)], output=output)


@contextmanager
def _pod(client: ClusterClient, *, node: str, namespace: str, image: str) -> Iterator[str]:
    """Create the pod and give its path; delete it in any case. Raises ApiError."""
    name = f"oomkeeper-node-log-{secrets.token_hex(3)}"
    base = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    client.create(base, pod_of(name, node=node, image=image))
    try:
        yield f"{base}/{name}"
    finally:
        try:
            client.delete(f"{base}/{name}", gracePeriodSeconds=0)
        except ApiError as error:
            click.echo(
                f"pod {name} not deleted: {error}; run: kubectl delete pod {name} -n {namespace}", err=True
            )


def pod_of(name: str, *, node: str, image: str) -> dict[str, Any]:
    """Return the pod that prints a node's kernel log. It is privileged: no lesser right opens /dev/kmsg."""
    container = {
        "name": _CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _SCRIPT],
        "securityContext": {"privileged": True, "runAsUser": 0},
        "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "16Mi", "cpu": "10m"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "kubectl-oom-explain"}},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": WAIT_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }


def _await_end(client: ClusterClient, path: str) -> None:
    """Wait until the pod has printed the log. Raises ApiError, and CliError where it does not run."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        pod = client.get(path)
        phase = (pod.get("status") or {}).get("phase")
        if phase == "Succeeded":
            return
        if phase == "Failed" or time.monotonic() > deadline:
            why = waiting_text(pod, container=_CONTAINER) or (pod.get("status") or {}).get("message")
            raise CliError(
                f"the pod that reads the kernel log did not run: {why or phase or 'no reason given'}"
            )
        time.sleep(_POLL_SECONDS)
