"""The edge contract: keys, nesting, types and nulls of one kill's JSON object."""

import json
from typing import Any

import pytest
from msgspec.json import encode

from oomkeeper.model.cause import Cause, Confidence, Level, Outcome, Scope
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill
from oomkeeper.model.memory import MemoryFacts
from oomkeeper.model.pod import KubeCgroup
from oomkeeper.reporting.kill_record import MAX_TASKS, kill_record, kill_time

from .kill_samples import (
    CONTAINER_ID,
    CONTAINER_PATH,
    DIAGNOSIS,
    GLOBAL_DIAGNOSIS,
    GLOBAL_KILL,
    HOSTILE_DIAGNOSIS,
    HOSTILE_KILL,
    KILL,
    MIB,
    POD_PATH,
    POD_UID,
    task,
)

NULL = type(None)
SCOPES = {"Memcg", "Global", "Unknown"}
LEVELS = {"Container", "Pod", "QOS", "Allocatable", "SystemSlice", "Enclosing", "Own", "Ancestor", "Unknown"}
OUTCOMES = {"Killed", "KilledGroup", "Panicked", "NoVictim"}

TOP: dict[str, tuple[type, ...]] = {
    "time": (str, NULL),
    "scope": (str,),
    "cause": (str,),
    "outcome": (str,),
    "level": (str, NULL),
    "invoker": (dict, NULL),
    "constraint": (str, NULL),
    "victims": (list,),
    "oomMemcg": (str, NULL),
    "taskMemcg": (str, NULL),
    "podUid": (str, NULL),
    "containerId": (str, NULL),
    "limitBytes": (int, NULL),
    "usageBytes": (int, NULL),
    "bindingCounter": (str, NULL),
    "contributors": (list,),
    "confidence": (str,),
    "summary": (str,),
    "advice": (list,),
}
INVOKER: dict[str, tuple[type, ...]] = {
    "comm": (str,),
    "pid": (int, NULL),
    "order": (int, NULL),
    "gfp": (str, NULL),
    "oomScoreAdj": (int, NULL),
}
VICTIM: dict[str, tuple[type, ...]] = {
    "pid": (int,),
    "comm": (str,),
    "uid": (int, NULL),
    "totalVmBytes": (int, NULL),
    "anonRssBytes": (int, NULL),
    "fileRssBytes": (int, NULL),
    "shmemRssBytes": (int, NULL),
    "oomScoreAdj": (int, NULL),
}
CONTRIBUTOR: dict[str, tuple[type, ...]] = {"name": (str,), "bytes": (int,), "share": (int, float)}
ADVICE: dict[str, tuple[type, ...]] = {"remedy": (str,), "message": (str,)}


def assert_contract(kill: dict[str, Any]) -> None:
    """Fail unless `kill` is an object of the contract; more keys are allowed, fewer are not."""
    _assert_shape(kill, TOP)
    assert kill["scope"] in SCOPES
    assert kill["level"] is None or kill["level"] in LEVELS
    assert kill["outcome"] in OUTCOMES
    assert kill["cause"] in {str(cause) for cause in Cause}
    assert kill["confidence"] in {"High", "Medium", "Low"}
    assert kill["bindingCounter"] in {"Memory", "MemorySwap", "Kmem", None}
    if kill["invoker"] is not None:
        _assert_shape(kill["invoker"], INVOKER)
    for items, shape in (("victims", VICTIM), ("contributors", CONTRIBUTOR), ("advice", ADVICE)):
        for item in kill[items]:
            _assert_shape(item, shape)


def _assert_shape(value: dict[str, Any], shape: dict[str, tuple[type, ...]]) -> None:
    for key, types in shape.items():
        assert key in value, key
        assert isinstance(value[key], types), (key, value[key])
        assert not isinstance(value[key], bool), key


def document(kill: Kill, diagnosis: Diagnosis, *, kube: KubeCgroup | None = None) -> dict[str, Any]:
    """Return what a reader of the printed JSON gets."""
    loaded = json.loads(encode(kill_record(kill, diagnosis, kube=kube)))
    assert isinstance(loaded, dict)
    return loaded


EMPTY_DIAGNOSIS = Diagnosis(
    scope=Scope.UNKNOWN,
    cause=Cause.UNKNOWN,
    level=None,
    outcome=Outcome.NO_VICTIM,
    limit_bytes=None,
    usage_bytes=None,
    binding_counter=None,
    contributors=(),
    confidence=Confidence.LOW,
    summary="",
    advice=(),
)


@pytest.mark.parametrize(
    ("kill", "diagnosis"),
    [
        pytest.param(KILL, DIAGNOSIS, id="container"),
        pytest.param(GLOBAL_KILL, GLOBAL_DIAGNOSIS, id="global"),
        pytest.param(HOSTILE_KILL, HOSTILE_DIAGNOSIS, id="hostile"),
        pytest.param(Kill(), EMPTY_DIAGNOSIS, id="nothing-known"),
    ],
)
def test_every_record_has_the_contracts_keys_and_types(kill: Kill, diagnosis: Diagnosis) -> None:
    assert_contract(document(kill, diagnosis))


def test_record_has_the_values_of_the_log() -> None:
    kill = document(KILL, DIAGNOSIS)

    assert kill["victims"] == [
        {
            "pid": 811,
            "comm": "java",
            "uid": 1000,
            "totalVmBytes": 2048 * MIB,
            "anonRssBytes": 500 * MIB,
            "fileRssBytes": 2 * MIB,
            "shmemRssBytes": 0,
            "oomScoreAdj": 984,
            "pgtablesBytes": MIB,
        }
    ]
    assert kill["invoker"] == {
        "comm": "java",
        "pid": 811,
        "order": 0,
        "gfp": "0xcc0(GFP_KERNEL)",
        "oomScoreAdj": 984,
    }
    assert (kill["level"], kill["cause"]) == (Level.CONTAINER.value, Cause.CONTAINER_LIMIT.value)
    assert (kill["limitBytes"], kill["usageBytes"], kill["bindingCounter"]) == (
        512 * MIB,
        512 * MIB,
        "Memory",
    )
    assert (kill["podUid"], kill["containerId"]) == (POD_UID, CONTAINER_ID)
    assert kill["oomMemcg"] == CONTAINER_PATH
    assert kill["advice"][1] == {"remedy": "FitLimit", "message": "Set limits.memory to 640Mi."}
    assert kill["contributors"][1]["name"] == "KernelSlab"
    assert kill["contributors"][1]["detail"] == "dentry"


@pytest.mark.parametrize(
    ("task_memcg", "oom_memcg", "pod", "container"),
    [
        pytest.param(CONTAINER_PATH, POD_PATH, POD_UID, CONTAINER_ID, id="the-victims-path-first"),
        pytest.param(None, POD_PATH, POD_UID, None, id="else-the-path-at-its-limit"),
        pytest.param("/system.slice/sshd.service", None, None, None, id="a-host-service"),
        pytest.param("/", CONTAINER_PATH, POD_UID, CONTAINER_ID, id="a-victim-that-had-left-its-cgroup"),
    ],
)
def test_pod_and_container_are_read_from_the_cgroup_paths(
    task_memcg: str | None, oom_memcg: str | None, pod: str | None, container: str | None
) -> None:
    kill = document(KILL._replace(task_memcg=task_memcg, oom_memcg=oom_memcg), DIAGNOSIS)

    assert (kill["podUid"], kill["containerId"]) == (pod, container)


@pytest.mark.parametrize(
    ("usec", "wall", "time"),
    [
        (2919920_414131, None, "+2919920.414131"),
        (5, None, "+0.000005"),
        (0, None, "+0.000000"),
        (7_000_000, "2023-01-05T10:00:00.5+01:00", "2023-01-05T10:00:00.5+01:00"),
        (None, "2023-01-05T10:00:00Z", "2023-01-05T10:00:00Z"),
        (7_000_000, "Jan  5 10:00:00", "+7.000000"),
        (None, "Jan  5 10:00:00", None),
        (None, None, None),
    ],
)
def test_time_is_rfc3339_else_seconds_since_boot_else_null(
    usec: int | None, wall: str | None, time: str | None
) -> None:
    assert kill_time(KILL._replace(usec=usec, wall=wall)) == time


def test_record_has_no_control_character_or_lone_surrogate() -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, dict):
            return [text for part in value.values() for text in texts(part)]
        return [text for part in value for text in texts(part)] if isinstance(value, list) else []

    kill = document(HOSTILE_KILL, HOSTILE_DIAGNOSIS)

    assert all(text.isprintable() for text in texts(kill))
    assert kill["victims"][0]["comm"] == r"\x1b[2J<b>\x0a\x07|`\u202e"
    assert kill["taskMemcg"].endswith(r"/x\x9b31m")


def test_victim_named_only_by_the_oom_kill_line_is_kept() -> None:
    cut = KILL._replace(victims=(), kill_lines=0)

    victim = document(cut, DIAGNOSIS)["victims"][0]

    assert (victim["pid"], victim["comm"], victim["uid"], victim["oomScoreAdj"]) == (811, "java", 1000, 984)
    assert victim["anonRssBytes"] is None


def test_chosen_task_of_a_panic_is_not_a_victim() -> None:
    panicked = DIAGNOSIS._replace(outcome=Outcome.PANICKED)

    assert document(KILL._replace(victims=(), kill_lines=0), panicked)["victims"] == []


def test_task_table_keeps_the_largest_and_counts_the_rest() -> None:
    tasks = tuple(task(pid, f"t{pid}", rss_mib=pid) for pid in range(1, 200))

    kill = document(KILL._replace(tasks=tasks), DIAGNOSIS)

    assert [row["pid"] for row in kill["tasks"]] == list(range(199, 199 - MAX_TASKS, -1))
    assert kill["taskCount"] == 199


def test_task_sizes_use_the_kernels_page_size() -> None:
    memory = MemoryFacts(page_size_bytes=65536)

    kill = document(KILL._replace(memory=memory, tasks=(task(1, "a", rss_mib=1),)), DIAGNOSIS)

    assert kill["tasks"][0]["rssBytes"] == 256 * 65536
