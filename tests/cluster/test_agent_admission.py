"""What the chart's admission policy lets an agent's token write, tried with real tokens on a real API
server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incidents import new_incident
from oomkeeper.resources.oomincident import WorkloadReference
from oomkeeper.resources.record import to_document
from tests.testbed.cache import Say
from tests.testbed.errors import KubectlError
from tests.unit.agent.pod_samples import pod
from tests.waiting import eventually

from .chart_harness import NAMESPACE, RELEASE, ChartHarness, chart_on_an_api_server
from .controller_harness import OOM, OOM_NODES, Json

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def chart(testbed_say: Say) -> Iterator[ChartHarness]:
    """Installed, with two nodes."""
    with chart_on_an_api_server(say=testbed_say) as made:
        for node in ("node-a", "node-b"):
            made.harness.node(node)
        yield made


class Writer:
    """A client with a token, writing what agents write."""

    def __init__(self, chart: ChartHarness, kubeconfig: Path, *, impersonate: str | None = None) -> None:
        self._chart, self._kubeconfig = chart, kubeconfig
        self._as = [f"--as={impersonate}"] if impersonate else []

    def _kubectl(self, *arguments: str, document: Json | None = None) -> None:
        text = json.dumps(document) if document else None
        self._chart.plane.kubectl(f"--kubeconfig={self._kubeconfig}", *self._as, *arguments, input=text)

    def _apply(self, *arguments: str, document: Json) -> None:
        # --validate reads the schema first, which takes longer than all the rest.
        head = (
            "apply",
            "--server-side",
            "--force-conflicts",
            "--validate=ignore",
            "--field-manager=oomkeeper-agent",
        )
        self._kubectl(*head, *arguments, "-f", "-", document=document)

    def apply(self, document: Json) -> None:
        self._apply(document=document)

    def node_status(self, node: str, **metadata: Any) -> None:
        document: Json = {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMNode",
            "metadata": {"name": node, **metadata},
        }
        self._apply("--subresource=status", document=document | {"status": {"agentVersion": "0.1.0"}})

    def node_spec(self, node: str) -> None:
        head = {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}}
        self._apply(document=head | {"spec": {"hostKills": True}})

    def incident(
        self,
        name: str,
        *,
        node: str,
        subresource: str | None = None,
        namespace: str = "default",
        of_workload: bool = True,
        **metadata: Any,
    ) -> None:
        document: Json = {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMIncident",
            "metadata": {"name": name, "namespace": namespace, **metadata},
        }
        if subresource is None:
            subject = (
                {"workload": {"kind": "Pod", "name": name}} if of_workload else {"cgroup": f"/of-{name}"}
            )
            document["spec"] = {"nodeName": node, "cause": "CgroupLimit", **subject}
            return self._apply(document=document)
        return self._apply(f"--subresource={subresource}", document=document | {"status": {"count": 1}})

    def container_kill(
        self, name: str, *, node: str, subresource: str | None = None, **metadata: Any
    ) -> None:
        document: Json = {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "ContainerKill",
            "metadata": {"name": name, "namespace": "default", **metadata},
        }
        if subresource is not None:
            return self._apply(f"--subresource={subresource}", document=document | {"status": {"count": 1}})
        workload = {"kind": "Pod", "name": name}
        spec = {"nodeName": node, "workload": workload, "container": "app", "killer": "Probe"}
        return self._apply(document=document | {"spec": spec})

    def annotate(self, node: str, annotation: str) -> None:
        self._kubectl("annotate", "oomnode", node, annotation, "--overwrite")

    def patch(self, node: str, patch: Json) -> None:
        self._kubectl("patch", "oomnode", node, "--type=merge", f"--patch={json.dumps(patch)}")

    def create_policy(self) -> None:
        policy = {
            "apiVersion": "oomkeeper.dev/v1alpha1",
            "kind": "OOMPolicy",
            "metadata": {"name": "mine"},
            "spec": {},
        }
        self._kubectl("create", "--validate=ignore", "-f", "-", document=policy)

    def delete(self, kind: str, name: str) -> None:
        self._kubectl("delete", kind, name, "--namespace=default", "--wait=false")


@pytest.fixture(scope="module")
def confined(chart: ChartHarness) -> ChartHarness:
    """With an OOMNode and an incident of each node, and the admission policy in effect."""
    admin = Writer(chart, chart.plane.kubeconfig)
    for node in ("node-a", "node-b"):
        head = {"apiVersion": "oomkeeper.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}}
        chart.harness.apply(f"{OOM_NODES}/{node}", head | {"spec": {}})
        admin.incident(f"on-{node}", node=node)
    agent = Writer(chart, chart.kubeconfig("agent", node="node-a"))
    # A new role takes a moment to be known, and a new policy to be compiled.
    eventually(lambda: not _forbidden(lambda: agent.node_status("node-a")))
    eventually(lambda: "may not write for node" in _forbidden(lambda: agent.node_status("node-b")))
    return chart


def _forbidden(act: Callable[[], None]) -> str:
    """The reason for which it is forbidden; empty where it is not."""
    try:
        act()
    except KubectlError as error:
        if "forbidden" not in str(error).lower():
            raise
        return str(error)
    return ""


@pytest.fixture
def agent_a(confined: ChartHarness) -> Writer:
    return Writer(confined, confined.kubeconfig("agent", node="node-a"))


def test_agent_may_write_for_its_own_node(agent_a: Writer) -> None:
    agent_a.node_status("node-a")
    agent_a.incident("new-on-a", node="node-a")
    agent_a.incident("on-node-a", node="node-a", subresource="status")


def test_agent_cannot_write_oomnode_of_another_node(agent_a: Writer) -> None:
    assert "the agent of node node-a may not write for node node-b" in _forbidden(
        lambda: agent_a.node_status("node-b")
    )


def test_agent_cannot_create_or_change_incident_of_another_node(agent_a: Writer) -> None:
    why = "the agent of node node-a may not write for node node-b"
    assert why in _forbidden(lambda: agent_a.incident("new-on-b", node="node-b"))
    assert why in _forbidden(lambda: agent_a.incident("on-node-b", node="node-b", subresource="status"))
    with pytest.raises(KubectlError, match="never changes"):  # nor take it over
        agent_a.incident("on-node-b", node="node-a")


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "blockOwnerDeletion": True}


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"finalizers": ["example.com/stay"]}, "an agent sets no finalizers"),
        ({"ownerReferences": [OWNER]}, "an agent sets no ownerReferences"),
        ({"annotations": {"note": "x" * 200_000}}, "an agent sets no annotations"),
        ({"labels": {"team": "other"}}, "an agent sets labels that begin with oomkeeper.dev/"),
        ({"labels": {"oomkeeper.dev/node": "node-b"}}, "the label oomkeeper.dev/node must be node-a"),
    ],
)
def test_agent_creates_incidents_of_its_own_shape_alone(agent_a: Writer, metadata: Json, why: str) -> None:
    assert why in _forbidden(lambda: agent_a.incident("odd", node="node-a", **metadata))
    agent_a.incident("on-node-a", node="node-a")
    assert why in _forbidden(lambda: agent_a.incident("on-node-a", node="node-a", **metadata))


@pytest.mark.parametrize("kind", ["workload", "cgroup"])
def test_incident_as_the_agent_makes_it_is_accepted(agent_a: Writer, kind: str) -> None:
    """With the agent's own code: a field or label more must not be refused only in a cluster."""
    subjects = {
        "workload": Subject(
            node="node-a",
            pod=pod(namespace="default"),
            workload=WorkloadReference(kind="Deployment", name="web"),
            container="app",
        ),
        "cgroup": Subject(node="node-a", cgroup="/system.slice/sshd.service"),
    }
    made = new_incident(subjects[kind], cause="CgroupLimit", operator_namespace=NAMESPACE)
    document = to_document(made)
    agent_a.apply({key: value for key, value in document.items() if key != "status"})


def test_what_others_put_on_an_incident_does_not_stop_its_agent(
    confined: ChartHarness, agent_a: Writer
) -> None:
    others = {
        "annotations": {"example.com/ticket": "7"},
        "labels": {"team": "shop"},
        "finalizers": ["example.com/archive"],
    }
    agent_a.incident("shared", node="node-a")
    path = f"{OOM}/namespaces/default/oomincidents/shared"
    confined.harness.merge(path, {"metadata": others})
    agent_a.incident("shared", node="node-a")
    agent_a.incident("shared", node="node-a", subresource="status")
    assert confined.harness.get(path)["metadata"]["labels"]["team"] == "shop"
    confined.harness.merge(path, {"metadata": {"finalizers": None}})


def test_agent_writes_the_container_kills_of_its_node_alone(confined: ChartHarness, agent_a: Writer) -> None:
    agent_a.container_kill("mine", node="node-a", labels={"oomkeeper.dev/node": "node-a"})
    agent_a.container_kill("mine", node="node-a", subresource="status")
    Writer(confined, confined.plane.kubeconfig).container_kill("theirs", node="node-b")
    other = "may not write for node node-b"
    assert other in _forbidden(lambda: agent_a.container_kill("forged", node="node-b"))
    assert other in _forbidden(lambda: agent_a.container_kill("theirs", node="node-b", subresource="status"))
    label = {"oomkeeper.dev/node": "node-b"}
    assert "must be node-a" in _forbidden(lambda: agent_a.container_kill("mine", node="node-a", labels=label))


def test_incident_without_a_workload_belongs_in_the_operators_namespace(agent_a: Writer) -> None:
    why = f"belongs in the operator's namespace, {NAMESPACE}"
    assert why in _forbidden(lambda: agent_a.incident("host", node="node-a", of_workload=False))
    agent_a.incident("host", node="node-a", of_workload=False, namespace=NAMESPACE)


def test_extra_patch_role_does_not_let_agent_write_the_spec_of_its_oomnode(
    confined: ChartHarness, agent_a: Writer
) -> None:
    kubectl = confined.plane.kubectl
    kubectl("create", "clusterrole", "spec-too", "--verb=patch", "--resource=oomnodes.oomkeeper.dev")
    account = f"--serviceaccount={NAMESPACE}:{RELEASE}-agent"
    kubectl("create", "clusterrolebinding", "spec-too", "--clusterrole=spec-too", account)
    why = "writes the status of its OOMNode and nothing else"
    eventually(lambda: why in _forbidden(lambda: agent_a.node_spec("node-a")))
    kubectl("delete", "clusterrolebinding,clusterrole", "spec-too")


def test_request_without_extra_information_on_its_user_is_forbidden(confined: ChartHarness) -> None:
    """As with an impersonated account or a token of a Secret: nothing names a node."""
    bare = Writer(confined, confined.plane.kubeconfig, impersonate=confined.account("agent"))
    assert "bound to no pod on a node" in _forbidden(lambda: bare.node_status("node-a"))
    assert "bound to no pod on a node" in _forbidden(lambda: bare.incident("bare", node="node-a"))


def test_unbound_agent_token_cannot_write(
    confined: ChartHarness,
) -> None:
    loose = Writer(confined, confined.kubeconfig("agent"))
    assert "bound to no pod on a node" in _forbidden(lambda: loose.node_status("node-a"))


def test_extra_delete_role_does_not_let_agent_delete_incident_of_another_node(
    confined: ChartHarness, agent_a: Writer
) -> None:
    assert "cannot delete" in _forbidden(lambda: agent_a.delete("oomincident", "on-node-b"))
    kubectl = confined.plane.kubectl
    kubectl("create", "clusterrole", "too-much", "--verb=delete", "--resource=oomincidents.oomkeeper.dev")
    account = f"--serviceaccount={NAMESPACE}:{RELEASE}-agent"
    kubectl("create", "clusterrolebinding", "too-much", "--clusterrole=too-much", account)
    why = "the agent of node node-a may not write for node node-b"
    eventually(lambda: why in _forbidden(lambda: agent_a.delete("oomincident", "on-node-b")))
    kubectl("delete", "clusterrolebinding,clusterrole", "too-much")


def test_administrators_are_not_restricted(confined: ChartHarness) -> None:
    admin = Writer(confined, confined.plane.kubeconfig)
    admin.node_status("node-b")


@pytest.fixture(scope="module")
def planner(confined: ChartHarness) -> Writer:
    """A person with the role for `kubectl oom plan` alone."""
    plane = confined.plane
    binding = ("clusterrolebinding", "planners", "--clusterrole=oomkeeper-plan", "--user=pat")
    plane.kubectl("create", *binding)
    made = Writer(confined, plane.kubeconfig, impersonate="pat")
    eventually(lambda: not _forbidden(lambda: made.annotate("node-a", "oomkeeper.dev/plan-request={}")))
    return made


def test_planner_may_ask_and_change_no_setting(confined: ChartHarness, planner: Writer) -> None:
    planner.annotate("node-a", "oomkeeper.dev/plan-request={}")
    why = "the spec of an OOMNode is the controller"
    assert why in _forbidden(lambda: planner.patch("node-a", {"spec": {"hostKills": False}}))
    setting = {"name": "vm.panic_on_oom", "value": 1, "policy": "mine"}
    assert why in _forbidden(lambda: planner.patch("node-a", {"spec": {"sysctls": [setting]}}))
    assert "cannot create" in _forbidden(lambda: planner.create_policy())
    # Who may create policies may write the spec, which the controller reverts.
    Writer(confined, confined.plane.kubeconfig).patch("node-a", {"spec": {"hostKills": True}})


def test_controller_may_write_the_spec(confined: ChartHarness) -> None:
    Writer(confined, confined.kubeconfig("controller")).node_spec("node-b")
