"""`kubectl oom doctor`: what is wrong with the installation, each with the command that fixes or shows it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from oomkeeper.agent.kube.client import resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.model.units import count_text
from oomkeeper.reporting.doctor import Facts, finding_records, findings, findings_text, has_problem
from oomkeeper.reporting.node_state import NodeState
from oomkeeper.reporting.policy_list import decode_all
from oomkeeper.reporting.required_access import AGENT, CONTROLLER, Access
from oomkeeper.resources.oompolicy import OOMPolicy
from oomkeeper.resources.oomreport import OOMReport
from oomkeeper.resources.schemas import SCHEMAS

from .cluster import Target, cluster_options, connected, get_if_exists, list_if_allowed
from .cluster_client import ClusterClient
from .errors import FAILED
from .host import output_option, print_json
from .nodes import AGENT_PODS, read_nodes

CONTROLLER_PODS = "app.kubernetes.io/component=controller,app.kubernetes.io/name=oomkeeper"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_EPILOG = """\
Checked: the custom resource definitions and their version; the rights of agents and controller (by
SubjectAccessReviews, if you may create them); whether the controller works and each node has a ready agent;
the conditions that agents report (kernel log, tracefs, state, clock); policies that conflict, stall or select
nothing; kills without a record.

Exit status: 0; 1 when there is an error or a warning, or the API server refuses; 2 for a wrong command
line."""


@click.command(epilog=_EPILOG)
@cluster_options(namespaced=False)
@output_option("text", "json")
def command(*, target: Target, output: str) -> int:
    """Find what is wrong with the installation of oomkeeper, and how to fix it."""
    with connected(target) as client:
        facts = read_facts(client, now=time.time())
    found = findings(facts)
    if output == "json":
        print_json({"findings": finding_records(found)})
    else:
        checked = (
            f"{count_text(len(facts.nodes), 'node')}, {count_text(len(facts.policies), 'policy', 'policies')}"
        )
        for line in findings_text(found, checked=checked):
            click.echo(line)
    return FAILED if has_problem(found) else 0


def read_facts(client: ClusterClient, *, now: float) -> Facts:
    """Read what the checks need; what the user may not read is left out and named. Raises ApiError."""
    unchecked: list[str] = []
    crds = _crds(client, unchecked)
    missing = {name for name, crd in (crds or {}).items() if crd is None}
    nodes = [] if "oomnodes.oomkeeper.dev" in missing else _nodes(client, unchecked)
    agents = list_if_allowed(client, "/api/v1/pods", labelSelector=AGENT_PODS)
    controllers = list_if_allowed(client, "/api/v1/pods", labelSelector=CONTROLLER_PODS)
    if controllers is None:
        unchecked.append("you may not list pods: agents and controller are not checked")
    return Facts(
        crds=crds,
        nodes=nodes,
        policies=decode_all(OOMPolicy, list_if_allowed(client, resource_path("oompolicies")) or ()),
        reports=decode_all(OOMReport, list_if_allowed(client, resource_path("oomreports")) or ()),
        controllers=controllers,
        denied=_denied(client, {**_accounts(agents, AGENT), **_accounts(controllers, CONTROLLER)}, unchecked),
        unchecked=unchecked,
        now=now,
    )


def _nodes(client: ClusterClient, unchecked: list[str]) -> list[NodeState]:
    try:
        return read_nodes(client)
    except ApiError as error:
        if error.status != 403:
            raise
        unchecked.append("you may not list OOMNodes: agents, settings and accounting are not checked")
        return []


def _crds(client: ClusterClient, unchecked: list[str]) -> dict[str, dict[str, Any] | None] | None:
    try:
        return {name: get_if_exists(client, f"{_CRDS}/{name}") for name in SCHEMAS}
    except ApiError as error:
        if error.status != 403:
            raise
        unchecked.append("you may not read custom resource definitions: their version is not checked")
        return None


def _accounts(
    pods: Iterable[Mapping[str, Any]] | None, rights: Sequence[Access]
) -> dict[str, Sequence[Access]]:
    """Return the service accounts of pods (NAMESPACE:NAME) with the rights that they need."""
    found = {}
    for pod in pods or ():
        name = (pod.get("spec") or {}).get("serviceAccountName", "default")
        found[f"{pod['metadata'].get('namespace')}:{name}"] = rights
    return found


def _denied(
    client: ClusterClient, accounts: Mapping[str, Sequence[Access]], unchecked: list[str]
) -> dict[str, list[Access]]:
    try:
        found = {
            account: [one for one in rights if not _allowed(client, account, one)]
            for account, rights in accounts.items()
        }
    except ApiError as error:
        if error.status != 403:
            raise
        unchecked.append(
            "you may not create SubjectAccessReviews: the rights of agents and controller are not checked"
        )
        return {}
    return {account: rights for account, rights in found.items() if rights}


def _allowed(client: ClusterClient, account: str, access: Access) -> bool:
    attributes = {
        "group": access.group,
        "resource": access.resource,
        "subresource": access.subresource,
        "verb": access.verb,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account}",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    answer = client.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool((answer.get("status") or {}).get("allowed"))
