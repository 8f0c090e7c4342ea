"""Names of existing objects, for completion. A cluster that does not answer completes nothing."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import click
import yaml

from oomkeeper.agent.kube.client import ApiClient, resource_path
from oomkeeper.model.escaping import printable

from .cluster import Target, connected, kubeconfigs, list_raw, read_target_context
from .errors import CliError

_MOST = 500
Names = Callable[[ApiClient, str | None], Iterable[str]]


def complete_names(what: str, *, ctx: click.Context, incomplete: str) -> list[Any]:
    """Return what completes a parameter, from the options that are on the command line already."""
    from click.shell_completion import CompletionItem

    try:
        names = {printable(name) for name in _names(what, ctx.params) if name.startswith(incomplete)}
    except CliError:
        return []
    return [CompletionItem(name) for name in sorted(names)[:_MOST]]


def _names(what: str, params: Mapping[str, Any]) -> list[str]:
    kubeconfig = params.get("kubeconfig")
    if what == "contexts":
        return _contexts(kubeconfigs(kubeconfig))
    config, default = read_target_context(kubeconfig, params.get("context_name"))
    everywhere = params.get("all_namespaces", False)
    namespace = None if everywhere else params.get("namespace") or default
    with connected(Target(config, namespace)) as client:
        return [*NAMES[what](client, namespace)]


def _contexts(files: Iterable[Any]) -> list[str]:
    names = []
    for file in files:
        try:
            document = yaml.safe_load(file.read_text())
            names += [str(one["name"]) for one in document["contexts"]]
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
            continue
    return names


def _namespaces(client: ApiClient, _: str | None) -> Iterable[str]:
    return _of_list(client, "/api/v1/namespaces")


def _nodes(client: ApiClient, _: str | None) -> Iterable[str]:
    return _of_list(client, resource_path("oomnodes"))


def _policies(client: ApiClient, _: str | None) -> Iterable[str]:
    return _of_list(client, resource_path("oompolicies"))


def _pods(client: ApiClient, namespace: str | None) -> Iterable[str]:
    return _of_list(client, f"/api/v1/namespaces/{quote(namespace or 'default', safe='')}/pods")


def _workloads(client: ApiClient, namespace: str | None) -> Iterable[str]:
    for one in list_raw(client, resource_path("oomincidents", namespace=namespace)):
        yield from _workload_of(one)


def _workload_of(incident: Mapping[str, Any]) -> Iterable[str]:
    if workload := incident["spec"].get("workload"):
        yield f"{workload['kind'].lower()}/{workload['name']}"


def _subjects(client: ApiClient, namespace: str | None) -> Iterable[str]:
    """Yield incidents, and workloads with one."""
    for one in list_raw(client, resource_path("oomincidents", namespace=namespace)):
        yield one["metadata"]["name"]
        yield from _workload_of(one)
    yield from (f"node/{name}" for name in _nodes(client, namespace))


def _of_list(client: ApiClient, path: str) -> Iterable[str]:
    return (one["metadata"]["name"] for one in list_raw(client, path))


NAMES: Mapping[str, Names] = {
    "namespaces": _namespaces,
    "nodes": _nodes,
    "policies": _policies,
    "pods": _pods,
    "workloads": _workloads,
    "subjects": _subjects,
}
