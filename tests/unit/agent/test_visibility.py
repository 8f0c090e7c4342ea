"""Does kubelet say what the kernel says: decided by container id, with clocks of our own."""

from pathlib import Path

import pytest

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.clock import parse_rfc3339, rfc3339
from oomkeeper.agent.incidents import add_kill, incident_key, new_incident, status_of
from oomkeeper.agent.pods import Pod
from oomkeeper.agent.store import Store
from oomkeeper.agent.visibility import EVIDENCE_SECONDS, STATUS_SECONDS, Visibility
from oomkeeper.resources.oomincident import WorkloadReference

from .kill_samples import recorded
from .pod_samples import IDS, ended, pod, running, status, table

SINCE = "2026-01-01T09:00:00Z"
KILLED = "2026-01-01T10:00:00.000000Z"


class Harness:
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

    def record(self, kill_id: str, container_id: str) -> str:
        """What the witness stores of a kill in this container, kubelet's word still open."""
        subject = Subject(
            node="node-a",
            pod=pod(),
            workload=WorkloadReference(kind="Pod", name="web-1"),
            container="app",
            container_id=container_id,
        )
        key = incident_key(subject, cause="PodLimit")
        incident = self.store.incident(key) or new_incident(
            subject, cause="PodLimit", operator_namespace="ops"
        )
        incident = add_kill(
            incident, record=recorded(kill_id), time=rfc3339(self.wall), subject=subject, new=True
        )
        self.store.put_incident(key, incident)
        self.store.put_kill(
            kill_id=kill_id,
            incident=key,
            container_id=container_id,
            time=rfc3339(self.wall),
            record=recorded(kill_id),
        )
        return key

    def see(self, seen: Pod) -> None:
        self.pods.put(seen)
        self.visibility.pod_changed(seen)

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.visibility.tick()

    def survived(self) -> list[bool | None]:
        """Whether the container survived each kill, the newest first."""
        [(_, incident)] = self.store.incidents()
        return [kill.container_survived for kill in status_of(incident).kills]

    def said(self) -> dict[str, str | None]:
        return {incident.spec.cause: status_of(incident).visibility for _, incident in self.store.incidents()}


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def over(container_id: str = IDS[0], **fields: str) -> Pod:
    return pod(status("app", now=ended(container_id, **fields), container_id=container_id))


def test_kill_reported_by_kubelet_later_is_reported(harness: Harness) -> None:
    key = harness.record("k1", IDS[0])
    harness.see(pod(status("app", now=running(), container_id=IDS[0])))
    harness.pass_seconds(1)
    assert harness.said() == {"PodLimit": None}
    harness.see(over())
    assert harness.said() == {"PodLimit": "Reported"}
    incident = harness.store.incident(key)
    assert incident is not None
    evidence = status_of(incident).evidence
    assert evidence is not None
    assert evidence.reason == "OOMKilled"
    assert not harness.visibility.waiting()


def test_kill_reported_by_kubelet_first_is_one_incident(harness: Harness) -> None:
    harness.see(over())
    assert harness.visibility.waiting()
    harness.record("k1", IDS[0])
    harness.pass_seconds(EVIDENCE_SECONDS + 1)
    assert harness.said() == {"PodLimit": "Reported"}


def test_status_without_a_kernel_record_is_reported_only_once(harness: Harness) -> None:
    for _ in range(3):
        harness.see(over())
        harness.pass_seconds(EVIDENCE_SECONDS)
        harness.visibility = harness.watcher()
    assert harness.said() == {"Unknown": "ReportedOnly"}
    [(_, incident)] = harness.store.incidents()
    found = status_of(incident)
    assert (found.count, found.confidence) == (1, "Low")
    assert parse_rfc3339(found.last_seen or "") == parse_rfc3339(KILLED)


def test_kill_in_a_container_that_keeps_running_is_invisible(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(pod(status("app", now=running(), container_id=IDS[0])))
    harness.pass_seconds(STATUS_SECONDS - 1)
    assert harness.said() == {"PodLimit": None}
    harness.pass_seconds(2)
    assert harness.said() == {"PodLimit": "Invisible"}


def test_container_that_ended_for_another_reason_is_invisible(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(over(reason="Error"))
    assert harness.said() == {"PodLimit": "Invisible"}
    assert harness.survived() == [False]


def test_container_that_runs_when_kubelet_had_time_to_report_survived(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(pod(status("app", now=running(), container_id=IDS[0])))
    harness.pass_seconds(STATUS_SECONDS - 1)
    assert harness.survived() == [None]
    harness.pass_seconds(2)
    assert harness.survived() == [True]


def test_container_that_ends_long_after_a_kill_survived_it(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(pod(status("app", now=running(), container_id=IDS[0])))
    harness.pass_seconds(STATUS_SECONDS + 1)
    harness.pass_seconds(60)
    harness.record("k2", IDS[0])
    harness.see(over(at=rfc3339(harness.wall)))
    assert harness.survived() == [False, True]


def test_pods_of_an_earlier_run_do_not_show_that_a_container_survived(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(pod(status("app", now=running(), container_id=IDS[0])))
    harness.pods.synced = False
    harness.pass_seconds(STATUS_SECONDS + 1)
    assert harness.said() == {"PodLimit": "Invisible"}
    assert harness.survived() == [None]


def test_panic_leaves_no_container_running(harness: Harness) -> None:
    harness.record("pstore-1", IDS[0])
    harness.see(pod(status("app", now=running(), container_id=IDS[0])))
    harness.pass_seconds(STATUS_SECONDS + 1)
    assert harness.survived() == [None]


def test_late_report_of_kubelet_counts(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.pass_seconds(STATUS_SECONDS + 1)
    harness.see(over())
    assert harness.said() == {"PodLimit": "Reported"}


def test_each_kill_is_decided_by_the_status_of_its_own_container(harness: Harness) -> None:
    key = harness.record("k1", IDS[0])
    harness.pass_seconds(1)
    harness.record("k2", IDS[1])
    again = status("app", now=running(), container_id=IDS[1], last=ended(IDS[0]))
    harness.see(pod(again))
    incident = harness.store.incident(key)
    assert incident is not None
    assert [(one.id, one.visibility) for one in status_of(incident).kills] == [
        ("k2", None),
        ("k1", "Reported"),
    ]
    assert harness.visibility.waiting()


def test_crash_looping_container_stays_reported(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(over())
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    harness.see(pod(status("app", now=waiting, container_id=IDS[0], last=ended(IDS[0]))))
    harness.pass_seconds(STATUS_SECONDS + 1)
    assert harness.said() == {"PodLimit": "Reported"}


def test_container_first_listed_in_its_crash_loop_is_reported(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    harness.see(pod(status("app", now=waiting, container_id=IDS[0], last=ended(IDS[0]))))
    assert harness.said() == {"PodLimit": "Reported"}


def test_reported_kill_never_becomes_invisible(harness: Harness) -> None:
    harness.record("k1", IDS[0])
    harness.see(over())
    harness.see(over(reason="Error"))
    assert harness.said() == {"PodLimit": "Reported"}


def test_statuses_before_the_first_start_are_ignored(harness: Harness) -> None:
    harness.see(over(at="2026-01-01T08:59:59Z"))
    harness.see(over(IDS[1], at="yesterday"))
    harness.pass_seconds(EVIDENCE_SECONDS + 1)
    assert harness.said() == {}


def test_start_of_the_killed_container_is_taken_from_its_status(harness: Harness) -> None:
    key = harness.record("k1", IDS[0])
    terminated = ended(IDS[0])
    terminated["terminated"]["startedAt"] = "2026-01-01T09:59:00Z"
    harness.see(pod(status("app", now=terminated, container_id=IDS[0])))
    incident = harness.store.incident(key)
    assert incident is not None
    assert [kill.started_at for kill in status_of(incident).kills] == ["2026-01-01T09:59:00Z"]
