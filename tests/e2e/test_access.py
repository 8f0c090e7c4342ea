"""Who may do what: an agent for its own node, a namespace's people in their namespace."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests import waiting

from .harness import GROUP, NAMESPACE, RELEASE, VERSION, Cluster, Json, eventually

FORBIDDEN = 403
CONFLICT = 409


def as_agent_of(cluster: Cluster, node: str) -> client.ApiClient:
    """With a token as the pod of that node's agent has it, bound to the pod."""
    pod = cluster.core.read_namespaced_pod(cluster.agent_pod(node), NAMESPACE)
    bound = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": pod.metadata.name,
        "uid": pod.metadata.uid,
    }
    request = {"spec": {"audiences": [], "boundObjectRef": bound, "expirationSeconds": 600}}
    made = cluster.core.create_namespaced_service_account_token(f"{RELEASE}-agent", NAMESPACE, request)
    return with_token(cluster, made.status.token)


def with_token(cluster: Cluster, token: str) -> client.ApiClient:
    mine = cluster.api.configuration
    theirs = client.Configuration()
    theirs.host, theirs.ssl_ca_cert = mine.host, mine.ssl_ca_cert
    theirs.api_key = {"authorization": f"Bearer {token}"}
    return client.ApiClient(theirs)


def status_code(error: pytest.ExceptionInfo[ApiException]) -> int:
    return int(error.value.status)


def refusal(request: Callable[[], object]) -> str:
    """What the API server answers a request that it forbids. An admission policy that was installed a moment
    ago may not be in force yet."""

    def look() -> str | None:
        try:
            request()
        except ApiException as error:
            return str(error.body) if error.status == FORBIDDEN else None
        return None

    return waiting.eventually(look) or ""


def test_agent_token_may_write_only_for_its_node(cluster: Cluster) -> None:
    own, other = cluster.nodes[-2:]
    api = client.CustomObjectsApi(as_agent_of(cluster, own))
    nothing: Json = {"status": {}}
    api.patch_cluster_custom_object_status(GROUP, VERSION, "oomnodes", own, nothing)
    refused = refusal(
        lambda: api.patch_cluster_custom_object_status(GROUP, VERSION, "oomnodes", other, nothing)
    )
    assert f"the agent of node {own} may not write for node {other}" in refused


def test_agent_token_cannot_forge_incident_of_another_node(cluster: Cluster, space: str) -> None:
    own, other = cluster.nodes[-2:]
    api = client.CustomObjectsApi(as_agent_of(cluster, own))
    forged: Json = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "OOMIncident",
        "metadata": {"name": "forged"},
        "spec": {"nodeName": other, "cause": "NodeMemory", "workload": {"kind": "Pod", "name": "forged"}},
    }

    def forge() -> None:
        try:
            api.create_namespaced_custom_object(GROUP, VERSION, space, "oomincidents", forged)
        except ApiException as error:
            if error.status != CONFLICT:
                raise

    assert "may not write for node" in refusal(forge)
    own_word = {**forged, "metadata": {"name": "own"}, "spec": {**forged["spec"], "nodeName": own}}
    api.create_namespaced_custom_object(GROUP, VERSION, space, "oomincidents", own_word)
    for act in ("oompolicies", "oomnodes", "oomreports"):
        with pytest.raises(ApiException) as caught:
            api.delete_cluster_custom_object(GROUP, VERSION, act, "whatever")
        assert status_code(caught) == FORBIDDEN


def test_namespace_viewer_sees_only_incidents_of_that_namespace(cluster: Cluster, space: str) -> None:
    account = "reader"
    cluster.core.create_namespaced_service_account(space, {"metadata": {"name": account}})
    cluster.kubectl(
        "create",
        "rolebinding",
        "reader",
        "--clusterrole=view",
        f"--serviceaccount={space}:{account}",
        f"--namespace={space}",
    )
    made = cluster.core.create_namespaced_service_account_token(account, space, {"spec": {"audiences": []}})
    api = client.CustomObjectsApi(with_token(cluster, made.status.token))
    eventually(lambda: "items" in api.list_namespaced_custom_object(GROUP, VERSION, space, "oomincidents"))
    with pytest.raises(ApiException) as caught:
        api.list_namespaced_custom_object(GROUP, VERSION, NAMESPACE, "oomincidents")
    assert status_code(caught) == FORBIDDEN
    for plural in ("oomincidents", "containerkills", "oomnodes", "oompolicies", "oomreports"):
        with pytest.raises(ApiException) as caught:
            api.list_cluster_custom_object(GROUP, VERSION, plural)
        assert status_code(caught) == FORBIDDEN
    with pytest.raises(ApiException) as caught:
        api.delete_collection_namespaced_custom_object(GROUP, VERSION, space, "oomincidents")
    assert status_code(caught) == FORBIDDEN


def test_category_lists_every_object(cluster: Cluster) -> None:
    found = json.loads(cluster.kubectl("get", "oom", "-A", "-o", "json"))["items"]
    assert {"OOMNode", "OOMReport"} <= {one["kind"] for one in found}
    assert {one["metadata"]["name"] for one in found if one["kind"] == "OOMNode"} == set(cluster.nodes)
