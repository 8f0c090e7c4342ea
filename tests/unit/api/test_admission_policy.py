"""The chart's admission policy speaks of fields that the custom resources have."""

import re
from pathlib import Path

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.container_kills import ContainerEnd, new_container_kill
from oomkeeper.agent.incidents import new_incident
from oomkeeper.model.killer import Certainty, EndFacts, Killer, Verdict
from oomkeeper.resources.containerkill import ContainerKillSpec
from oomkeeper.resources.oomincident import OOMIncidentSpec, WorkloadReference
from tests.unit.agent.pod_samples import pod

POLICY = Path(__file__).parents[3] / "charts" / "oomkeeper" / "templates" / "agent-admission.yaml"


def test_every_field_of_an_incident_that_the_policy_names_exists() -> None:
    """Else has() of it is always false, and every incident refused."""
    named = set(re.findall(r"\b(?:o|object|oldObject)\.spec\.(\w+)", POLICY.read_text()))
    assert named == {"nodeName", "workload"}
    assert named <= set(OOMIncidentSpec.__struct_encode_fields__)


def test_labels_that_the_agent_sets_are_among_those_that_the_policy_permits() -> None:
    subject = Subject(
        node="node-a", pod=pod(), workload=WorkloadReference(kind="Deployment", name="web"), container="app"
    )
    labels = new_incident(subject, cause="CgroupLimit", operator_namespace="ops").metadata.labels or {}
    text = POLICY.read_text()
    [prefix] = re.findall(r"key\.startsWith\('([^']+)'\)", text)
    exact = set(re.findall(r"key == '([^']+)'", text))
    assert len(labels) >= 4
    assert all(key.startswith(prefix) or key in exact for key in labels)


def test_container_kills_have_the_fields_and_labels_that_the_policy_permits() -> None:
    text = POLICY.read_text()
    assert "containerkills, containerkills/status" in text
    assert "node_name" in ContainerKillSpec.__struct_fields__
    end = ContainerEnd(
        namespace="shop",
        pod="web-1",
        pod_uid="u",
        container_id="a" * 64,
        workload=WorkloadReference(kind="Deployment", name="web"),
        time="2026-01-01T10:00:00Z",
        facts=EndFacts(container="app", exit_code=137, reason="Error", finished_at=None),
        verdict=Verdict(killer=Killer.PROBE, certainty=Certainty.PROVED, summary="x"),
    )
    labels = new_container_kill(end, node="node-a").metadata.labels or {}
    [prefix] = re.findall(r"key\.startsWith\('([^']+)'\)", text)
    assert len(labels) == 5
    assert [key for key in labels if not key.startswith(prefix)] == ["app.kubernetes.io/managed-by"]
