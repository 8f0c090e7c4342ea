"""Which cgroup's limit was met: B against V."""

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.model.cause import Cause, Confidence, Level

from .material import CID, CONTAINER_PATH, POD_PATH, UID, memcg_kill

NESTED = "/docker/" + "cd" * 32


@pytest.mark.parametrize(
    ("limit", "task", "cause", "level"),
    [
        (CONTAINER_PATH, CONTAINER_PATH, Cause.CONTAINER_LIMIT, Level.CONTAINER),
        (CONTAINER_PATH, f"{CONTAINER_PATH}/init", Cause.CONTAINER_LIMIT, Level.CONTAINER),
        (CONTAINER_PATH, None, Cause.CONTAINER_LIMIT, Level.CONTAINER),
        (POD_PATH, CONTAINER_PATH, Cause.POD_LIMIT, Level.POD),
        ("/kubepods/burstable", CONTAINER_PATH, Cause.QOS_LIMIT, Level.QOS),
        ("/kubepods.slice/kubepods-besteffort.slice", None, Cause.QOS_LIMIT, Level.QOS),
        ("/kubepods", CONTAINER_PATH, Cause.NODE_ALLOCATABLE_LIMIT, Level.ALLOCATABLE),
        ("/kubepods.slice", None, Cause.NODE_ALLOCATABLE_LIMIT, Level.ALLOCATABLE),
        ("/system.slice", "/system.slice/kubelet.service", Cause.SYSTEM_SLICE_LIMIT, Level.SYSTEM_SLICE),
        (
            "/system.slice/nginx.service",
            "/system.slice/nginx.service",
            Cause.CGROUP_LIMIT,
            Level.OWN,
        ),
        ("/kube-reserved", "/kube-reserved/x", Cause.SYSTEM_SLICE_LIMIT, Level.SYSTEM_SLICE),
        ("/podruntime/containerd.service", None, Cause.CGROUP_LIMIT, Level.OWN),
        ("/podruntime", "/podruntime/containerd.service", Cause.SYSTEM_SLICE_LIMIT, Level.SYSTEM_SLICE),
        ("/system.slice/a.service", "/system.slice/a.service/worker", Cause.CGROUP_LIMIT, Level.OWN),
        (NESTED, f"{NESTED}/kubelet{CONTAINER_PATH}", Cause.ENCLOSING_LIMIT, Level.ENCLOSING),
        (f"{NESTED}{CONTAINER_PATH}", f"{NESTED}{CONTAINER_PATH}", Cause.CONTAINER_LIMIT, Level.CONTAINER),
        ("/lxc.payload.n1", "/lxc.payload.n1/kubepods.slice", Cause.ENCLOSING_LIMIT, Level.ENCLOSING),
        (
            f"/system.slice/docker-{CID}.scope",
            f"/system.slice/docker-{CID}.scope",
            Cause.CGROUP_LIMIT,
            Level.OWN,
        ),
        ("/leaker", "/leaker", Cause.CGROUP_LIMIT, Level.OWN),
        ("/user.slice", "/user.slice/user-1.slice", Cause.ANCESTOR_CGROUP_LIMIT, Level.ANCESTOR),
        ("/a", "/ab", Cause.UNKNOWN_CGROUP_LIMIT, Level.UNKNOWN),
        ("/a", None, Cause.UNKNOWN_CGROUP_LIMIT, Level.UNKNOWN),
        (None, None, Cause.UNKNOWN_CGROUP_LIMIT, Level.UNKNOWN),
        (f"{CONTAINER_PATH}/inner", f"{CONTAINER_PATH}/inner", Cause.CGROUP_LIMIT, Level.OWN),
    ],
)
def test_levels(limit: str | None, task: str | None, cause: Cause, level: Level) -> None:
    verdict = diagnose(memcg_kill(limit, task))
    assert (verdict.cause, verdict.level) == (cause, level)


def test_missing_path_lowers_the_confidence() -> None:
    sure = diagnose(memcg_kill("/a", "/a"))
    unsure = diagnose(memcg_kill("/a", None))
    assert (sure.confidence, sure.uncertain) == (Confidence.HIGH, ())
    assert unsure.confidence is Confidence.MEDIUM
    assert any("/a" in sentence for sentence in unsure.uncertain)


def test_summary_names_the_pod_by_uid_without_its_name() -> None:
    assert UID in diagnose(memcg_kill(POD_PATH, CONTAINER_PATH)).summary
