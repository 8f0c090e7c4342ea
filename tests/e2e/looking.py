"""What a failed test leaves to be read: short, and never a reason to fail."""

from __future__ import annotations

import subprocess

from .harness import NAMESPACE, Cluster

LINES = 25


def seen(cluster: Cluster, *, namespace: str | None) -> str:
    """Logs of the operator's pods, the pods and events of the test's namespace, the kernel's last words."""
    parts = [
        _kubectl(cluster, "get", "oom", "-A"),
        _kubectl(cluster, "get", "pods", f"--namespace={NAMESPACE}", "-o", "wide"),
    ]
    for component in ("controller", "agent"):
        selector = f"--selector=app.kubernetes.io/component={component}"
        options = ("--prefix", f"--tail={LINES}", "--max-log-requests=20")
        parts.append(_kubectl(cluster, "logs", f"--namespace={NAMESPACE}", selector, *options))
    if namespace is not None:
        where = f"--namespace={namespace}"
        parts.append(_kubectl(cluster, "get", "pods", where, "-o", "wide"))
        parts.append(_kubectl(cluster, "get", "events", where, "--sort-by=.lastTimestamp"))
    if cluster.kind is not None:
        done = subprocess.run(["dmesg"], capture_output=True, text=True, check=False, errors="replace")
        parts.append("$ dmesg\n" + _tail(done.stdout))
    return "\n".join(parts)


def _kubectl(cluster: Cluster, *arguments: str) -> str:
    head = f"$ kubectl {' '.join(arguments)}\n"
    try:
        return head + _tail(cluster.kubectl(*arguments), lines=3 * LINES)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return head + str(error)


def _tail(text: str, *, lines: int = LINES) -> str:
    return "\n".join(line[:300] for line in text.splitlines()[-lines:])
