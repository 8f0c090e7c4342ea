"""`kubectl oom recommend --apply`: change the workload's template, or resize its running pods."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.escaping import printable
from oomkeeper.reporting.recommendation import Recommendation
from oomkeeper.reporting.recommendation_formats import pod_spec_patch, workload_patch

from .cluster import list_raw
from .cluster_client import ClusterClient
from .errors import BadInput, CliError

if TYPE_CHECKING:
    from .recommend import Found

_ENDED = ("Succeeded", "Failed")


def apply_to_workload(
    client: ClusterClient, found: "Found", raised: Sequence[Recommendation], *, yes: bool
) -> None:
    """Change the template. Raises ApiError, and CliError where the person says no."""
    assert found.known is not None
    path = found.known.path(namespace=found.namespace, name=found.name)
    patch = workload_patch(raised, kind=found.known, template=found.template)
    client.patch(path, patch, dry_run=True)
    _confirm(f"Change {found.kind}/{found.name} in namespace {found.namespace}?{_effect(found)}", yes=yes)
    client.patch(path, patch)
    click.echo(f"{found.kind.lower()}/{found.name} patched. Later: kubectl oom recommend --verify")


def _effect(found: "Found") -> str:
    """Return what the change does to running pods."""
    spec: dict[str, Any] = (found.obj or {}).get("spec") or {}
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    if found.kind in ("Deployment", "StatefulSet", "DaemonSet") and not on_delete:
        return " Its pods are replaced."
    return " Running pods keep their limits until they are created anew."


def apply_to_pods(
    client: ClusterClient, found: "Found", raised: Sequence[Recommendation], *, yes: bool
) -> None:
    """Resize the running pods in place. Raises ApiError, and CliError where the cluster cannot, or the person
    says no."""
    resources = client.get("/api/v1").get("resources") or ()
    if not any(one.get("name") == "pods/resize" for one in resources):
        raise CliError("the cluster cannot resize pods in place (no pods/resize): use --apply alone")
    pods = _pods(client, found)
    if not pods:
        raise CliError(f"{found.kind}/{found.name} has no running pod")
    patch = {"spec": pod_spec_patch(raised, template=found.template)}
    base = f"/api/v1/namespaces/{quote(found.namespace, safe='')}/pods"
    paths = {name: f"{base}/{quote(name, safe='')}/resize" for name in pods}
    for path in paths.values():
        client.patch(path, patch, dry_run=True)
    _confirm(f"Resize {len(pods)} running pods of {found.kind}/{found.name} in place?", yes=yes)
    failed = 0
    for name, path in paths.items():
        try:
            client.patch(path, patch)
            click.echo(f"pod/{name} resized")
        except ApiError as error:
            failed += 1
            click.echo(printable(f"pod/{name} not resized: {error}"), err=True)
    if failed:
        raise CliError(f"{failed} of {len(pods)} pods not resized")
    if found.known is not None and found.known.mutable:
        click.echo("The template is unchanged: a pod that is created anew has the old limit.")


def _pods(client: ClusterClient, found: "Found") -> list[str]:
    """Return the names of the running pods. Raises ApiError, and CliError for a kind without a selector."""
    if found.kind == "Pod":
        return [found.name]
    spec: dict[str, Any] = (found.obj or {}).get("spec") or {}
    selector = spec.get("selector") or {}
    labels = selector if found.kind == "ReplicationController" else selector.get("matchLabels") or {}
    if not labels or selector.get("matchExpressions"):
        raise CliError(
            f"the pods of {found.kind}/{found.name} cannot be found: its selector is not plain labels"
        )
    query = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    path = f"/api/v1/namespaces/{quote(found.namespace, safe='')}/pods"
    return [
        pod["metadata"]["name"]
        for pod in list_raw(client, path, labelSelector=query)
        if not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("phase") not in _ENDED
    ]


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("nothing was changed: --apply needs --yes where standard input is not a terminal")
    if not click.confirm(question, err=True):
        raise CliError("nothing was changed")
