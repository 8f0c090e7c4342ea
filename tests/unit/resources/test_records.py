"""The generated Structs hold what the models define, and bounds are applied on writing."""

from pathlib import Path

import msgspec
import pytest

from oomkeeper.api import structs
from oomkeeper.api.oomincident import OOMIncident as IncidentModel
from oomkeeper.api.oomnode import OOMNode as NodeModel
from oomkeeper.resources import record as record_module
from oomkeeper.resources.killrecord import KillRecord
from oomkeeper.resources.meta import Condition, ObjectMeta
from oomkeeper.resources.oomincident import (
    ContributorShare,
    Evidence,
    OOMIncident,
    OOMIncidentSpec,
    OOMIncidentStatus,
    RecentKill,
    VictimFacts,
)
from oomkeeper.resources.oomnode import Counters, OOMNode, OOMNodeStatus
from oomkeeper.resources.oompolicy import NodeCounts
from oomkeeper.resources.record import MalformedObjectError, bounded, max_items, max_length, read, to_document


def incident(status: OOMIncidentStatus) -> OOMIncident:
    return OOMIncident(
        metadata=ObjectMeta(name="one", namespace="shop"),
        spec=OOMIncidentSpec(node_name="a", cause="ContainerLimit", cgroup="/x"),
        status=status,
    )


def test_committed_structs_are_current() -> None:
    folder = Path(record_module.__file__).parent
    assert {name: (folder / name).read_text() for name in structs.files()} == structs.files()


def test_unknown_fields_and_enum_values_of_a_newer_version_are_accepted() -> None:
    node = read(OOMNode, b'{"metadata": {"name": "a", "x": 1}, "status": {"new": {}, "conditions": []}}')
    assert node.metadata.name == "a"
    newer = read(OOMIncidentSpec, {"nodeName": "a", "cause": "CauseOfTheNextRelease"})
    assert newer.cause == "CauseOfTheNextRelease"


@pytest.mark.parametrize(
    "data", [b"{", b'{"metadata": {}, "status": 3}', b'{"metadata": {"name": ["x"]}}', b"\xff", b"[]"]
)
def test_malformed_object_raises_one_error_that_names_the_kind(data: bytes) -> None:
    with pytest.raises(MalformedObjectError, match="OOMNode: "):
        read(OOMNode, data)


def test_document_is_valid_for_the_model_however_long_its_texts_are() -> None:
    long = "x" * 10_000
    status = OOMIncidentStatus(
        cause="ContainerLimit",
        count=-3,
        summary=long,
        uncertain=(long,) * 50,
        kills=tuple(RecentKill(id=f"{number}", time="2026-01-02T03:04:05Z", pid=-1) for number in range(99)),
        evidence=Evidence(
            container_id=long,
            oom_memcg=long,
            contributors=(ContributorShare(name="Anonymous", bytes=5, share_percent=250),) * 40,
            victims=(VictimFacts(pid=1, comm=long, oom_score_adj=-5000),) * 40,
        ),
    )
    document = to_document(incident(status))
    parsed = IncidentModel.parse(document)
    assert parsed.status is not None
    assert len(parsed.status.kills) == max_items(OOMIncidentStatus, "kills")
    assert parsed.status.kills[0].id == "0"
    assert parsed.status.summary == "x" * max_length(OOMIncidentStatus, "summary")
    assert document["status"]["evidence"]["contributors"][0]["sharePercent"] == 100
    assert document["status"]["evidence"]["victims"][0]["oomScoreAdj"] == -1000
    assert document["status"]["count"] == 0


def test_document_leaves_out_what_is_absent_and_keeps_zero() -> None:
    assert to_document(NodeCounts())["matched"] == 0
    status = OOMNodeStatus(counters=Counters(recorded=0), agent_version="1")
    assert to_document(status) == {"agentVersion": "1", "counters": {"recorded": 0}}


def test_record_within_its_bounds_is_returned_as_it_is() -> None:
    status = OOMNodeStatus(
        conditions=(
            Condition(type="Applied", status="True", last_transition_time="t", reason="R", message=""),
        )
    )
    assert bounded(status) is status


def test_node_written_by_the_model_is_read_back_equal() -> None:
    body = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMNode",
        "metadata": {"name": "a"},
        "spec": {"sysctls": [{"name": "vm.panic_on_oom", "value": 0, "policy": "p"}], "hostKills": True},
    }
    document = NodeModel.parse(body).to_dict()
    assert to_document(read(OOMNode, document)) == document


def test_kill_record_keeps_the_spelling_of_the_edge_contract() -> None:
    names = {found.encode_name for found in msgspec.structs.fields(KillRecord)}
    contract = (
        "time scope cause outcome level invoker constraint victims oomMemcg taskMemcg podUid containerId"
    )
    contract += " limitBytes usageBytes bindingCounter contributors confidence summary advice"
    assert set(contract.split()) <= names
