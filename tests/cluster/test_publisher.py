"""The publisher against a real API server: what it gives up, and what it writes when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.publisher import Publisher, PublisherThread
from oomkeeper.agent.store import Store
from oomkeeper.cli.agent import api_config
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident, OOMIncidentSpec, OOMIncidentStatus, WorkloadReference
from tests.testbed import ControlPlane
from tests.waiting import eventually

from .agent_harness import install, namespace, only_incident
from .controller_harness import Harness

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def harness(control_plane: ControlPlane) -> Harness:
    return install(control_plane)


def test_incident_of_a_missing_namespace_is_dropped_and_the_next_one_published(
    harness: Harness, tmp_path: Path
) -> None:
    namespace(harness.plane, "terminating")
    # No controller finalizes it here, so it stays in the state in which a real cluster is still deleting it.
    harness.request("DELETE", "/api/v1/namespaces/terminating")
    living = namespace(harness.plane, "living")
    store = Store.open(tmp_path)
    for space in ("never-made", "terminating", living):
        with store.transaction():
            store.put_incident(space, _incident(space))
    client = ApiClient(api_config(harness.plane.kubeconfig))
    publisher = PublisherThread(Publisher(client=client, store=store, node="node-p"))
    publisher.start()
    try:
        publisher.wake()
        eventually(lambda: not store.unpublished())
    finally:
        publisher.stop(within_seconds=60)
        client.close()
        store.close()
    assert only_incident(harness, living)["status"]["count"] == 1


def test_publisher_that_ends_writes_what_waited_for_its_interval(harness: Harness, tmp_path: Path) -> None:
    space = namespace(harness.plane, "storm")
    store = Store.open(tmp_path)
    client = ApiClient(api_config(harness.plane.kubeconfig))
    publisher = PublisherThread(Publisher(client=client, store=store, node="node-p"))
    publisher.start()
    try:
        for count in range(1, 50):
            with store.transaction():
                store.put_incident(space, _incident(space, count=count))
            publisher.wake()
            if count == 1:
                eventually(lambda: not store.unpublished())
    finally:
        publisher.stop(within_seconds=60)
        client.close()
    assert not store.unpublished()
    store.close()
    assert only_incident(harness, space)["status"]["count"] == 49


def _incident(space: str, *, count: int = 1) -> OOMIncident:
    return OOMIncident(
        metadata=ObjectMeta(name="web-app-0123456789", namespace=space),
        spec=OOMIncidentSpec(
            node_name="node-p",
            cause="ContainerLimit",
            workload=WorkloadReference(kind="Deployment", name="web"),
            container="app",
        ),
        status=OOMIncidentStatus(cause="ContainerLimit", count=count),
    )
