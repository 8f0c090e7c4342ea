"""Does kubelet say what the kernel says: decided by container id, with clocks of our own."""

from pathlib import Path

import pytest

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.clock import parse_rfc3339, rfc3339
from oomkeeper.agent.incidents import incident_key, new_incident
from oomkeeper.agent.pods import Pod
from oomkeeper.agent.state import Store
from oomkeeper.agent.visibility import EVIDENCE_SECONDS, STATUS_SECONDS, Visibility

from .pod_samples import IDS, ended, pod, running, status, table

SINCE = "2026-01-01T09:00:00Z"
KILLED = "2026-01-01T10:00:00.000000Z"


class Bed:
    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder)
        self.pods = table()
        self.now = 50.0
        self.wall = parse_rfc3339(KILLED)
        self.visibility = self.watcher()

    def watcher(self) -> Visibility:
        return Visibility(
            store=self.store,
            node="node-a",
            pods=self.pods,
            operator_namespace="ops",
            since=SINCE,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    def record(self, kill_id: str, container_id: str, *, count: int = 1) -> str:
        """What the witness stores of a kill in this container, kubelet's word still open."""
        subject = Subject(node="node-a", pod=pod(), container="app", container_id=container_id)
        key = incident_key(subject, cause="PodLimit")
        document = new_incident(subject, cause="PodLimit", operator_namespace="ops")
        document["status"] |= {
            "count": count,
            "lastSeen": rfc3339(self.wall),
            "evidence": {"containerID": container_id},
        }
        self.store.put_incident(key, document)
        self.store.put_kill(
            kill_id=kill_id, incident=key, container_id=container_id, time=rfc3339(self.wall), record={}
        )
        return key

    def see(self, seen: Pod) -> None:
        self.pods.put(seen)
        self.visibility.pod_changed(seen)

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.visibility.tick()

    def said(self) -> dict[str, str | None]:
        return {
            document["spec"]["cause"]: document["status"].get("visibility")
            for _, document in self.store.incidents()
        }


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def over(container_id: str = IDS[0], **fields: str) -> Pod:
    return pod(status("app", now=ended(container_id, **fields), container_id=container_id))


def test_kernel_first_then_kubelet_is_reported(bed: Bed) -> None:
    key = bed.record("k1", IDS[0])
    bed.see(pod(status("app", now=running(), container_id=IDS[0])))
    bed.pass_seconds(1)
    assert bed.said() == {"PodLimit": None}
    bed.see(over())
    assert bed.said() == {"PodLimit": "Reported"}
    document = bed.store.incident(key)
    assert document is not None
    assert document["status"]["evidence"]["reason"] == "OOMKilled"
    assert not bed.visibility.waiting()


def test_kubelet_first_then_the_kernels_record_is_one_incident(bed: Bed) -> None:
    bed.see(over())
    assert bed.visibility.waiting()
    bed.record("k1", IDS[0])
    bed.pass_seconds(EVIDENCE_SECONDS + 1)
    assert bed.said() == {"PodLimit": "Reported"}


def test_kubelet_alone_is_reported_only_and_once_over_restarts(bed: Bed) -> None:
    for _ in range(3):
        bed.see(over())
        bed.pass_seconds(EVIDENCE_SECONDS)
        bed.visibility = bed.watcher()
    assert bed.said() == {"Unknown": "ReportedOnly"}
    [(_, document)] = bed.store.incidents()
    assert (document["status"]["count"], document["status"]["confidence"]) == (1, "Low")
    assert parse_rfc3339(document["status"]["lastSeen"]) == parse_rfc3339(KILLED)


def test_a_container_that_lives_on_is_invisible_after_a_while(bed: Bed) -> None:
    bed.record("k1", IDS[0])
    bed.see(pod(status("app", now=running(), container_id=IDS[0])))
    bed.pass_seconds(STATUS_SECONDS - 1)
    assert bed.said() == {"PodLimit": None}
    bed.pass_seconds(2)
    assert bed.said() == {"PodLimit": "Invisible"}


def test_a_container_that_ended_for_another_reason_is_invisible(bed: Bed) -> None:
    bed.record("k1", IDS[0])
    bed.see(over(reason="Error"))
    assert bed.said() == {"PodLimit": "Invisible"}


def test_a_late_word_of_kubelets_still_counts(bed: Bed) -> None:
    bed.record("k1", IDS[0])
    bed.pass_seconds(STATUS_SECONDS + 1)
    bed.see(over())
    assert bed.said() == {"PodLimit": "Reported"}


def test_an_earlier_run_of_the_container_does_not_speak_for_the_last_kill(bed: Bed) -> None:
    bed.record("k1", IDS[0])
    bed.record("k2", IDS[1], count=2)
    again = status("app", now=running(), container_id=IDS[1], last=ended(IDS[0]))
    bed.see(pod(again))
    assert bed.said() == {"PodLimit": None}


def test_statuses_of_before_the_watch_began_are_no_news(bed: Bed) -> None:
    bed.see(over(at="2026-01-01T08:59:59Z"))
    bed.see(over(IDS[1], at="yesterday"))
    bed.pass_seconds(EVIDENCE_SECONDS + 1)
    assert bed.said() == {}
