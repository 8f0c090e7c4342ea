"""Objects that must be refused, one per rule, with what the refusal says.

The same table is held against the models (tests/unit/api) and against the real API server
(tests/cluster/test_crds.py), so that the two cannot drift apart.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from .objects import HOST_INCIDENT, INCIDENT, NODE, POLICY, REPORT


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One change to a good object that makes it bad."""

    name: str
    base: dict[str, Any]
    change: dict[str, Any]
    """Path (steps joined by /) -> value, or REMOVE."""
    path: str
    """Where the model says the fault is."""
    says: str
    """What the model says; also what the API server says where `server` is None."""
    server: str | None = None
    """What the API server says of a fault that a schema keyword finds."""

    def object(self) -> dict[str, Any]:
        """The bad object."""
        result = copy.deepcopy(self.base)
        for path, value in self.change.items():
            _put(result, path, value)
        return result

    @property
    def in_status(self) -> bool:
        """Whether only a write to the status subresource can be refused for it."""
        return all(path.startswith("status") for path in self.change)


REMOVE = object()


def _put(target: Any, path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for part in parents:
        target = target[int(part) if isinstance(target, list) else part]
    if value is REMOVE:
        del target[last]
    elif isinstance(target, list):
        target[int(last)] = value
    else:
        target[last] = value


PLAIN: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMPolicy",
    "metadata": {"name": "plain"},
    "spec": {},
}


def _policy(name: str, spec: dict[str, Any], path: str, says: str, server: str | None = None) -> Bad:
    return Bad(name=name, base=PLAIN, change={"spec": spec}, path=path, says=says, server=server)


RANGES = {
    "vm.panic_on_oom": (-1, 3, "write 0, 1 or 2"),
    "vm.oom_kill_allocating_task": (-1, 2, "write 0 or 1"),
    "vm.oom_dump_tasks": (-1, 2, "write 0 or 1"),
    "kernel.panic": (-1, 86401, "write 0 to 86400"),
    "vm.overcommit_memory": (-1, 3, "write 0, 1 or 2"),
    "vm.overcommit_ratio": (-1, 1001, "write 0 to 1000"),
    "vm.min_free_kbytes": (1023, 67108865, "write 1024 to 67108864"),
    "vm.watermark_scale_factor": (0, 3001, "write 1 to 3000"),
    "vm.admin_reserve_kbytes": (-1, 67108865, "write 0 to 67108864"),
    "vm.user_reserve_kbytes": (-1, 67108865, "write 0 to 67108864"),
    "vm.swappiness": (-1, 201, "write 0 to 200"),
}
"""Key -> a value below its range, a value above it, what the refusal says. Spelt out, not derived from the
allow-list."""

_ALL_ACKNOWLEDGED = {"acknowledge": ["KubeletConflict", "NodePanic", "ContainerLimitPanicsNode"]}


def _out_of_range() -> list[Bad]:
    cases = []
    for key, (below, above, says) in RANGES.items():
        for which, value in (("below", below), ("above", above)):
            cases.append(
                _policy(
                    f"{key} {which} its range",
                    {"sysctls": {key: value}, "panicSafety": _ALL_ACKNOWLEDGED},
                    f"spec.sysctls.{key}",
                    f"{says}: ",
                )
            )
            cases.append(
                Bad(
                    name=f"OOMNode {key} {which} its range",
                    base=NODE,
                    change={"spec/sysctls/0/name": key, "spec/sysctls/0/value": value, "status": {}},
                    path="spec.sysctls[0].value",
                    says=f"{key}: {says}",
                )
            )
    return cases


def _expression(**fields: Any) -> dict[str, Any]:
    return {"nodeSelector": {"matchExpressions": [fields]}}


def _adjust(**fields: Any) -> dict[str, Any]:
    return {"oomScoreAdjustments": [{"name": "a", "value": 5} | fields]}


_WINDOW = "write a duration from 1m to 168h"
_CONCURRENT = "write a number of nodes, 1 to 100000, or a share of those matched"
_LABEL_VALUE = "write a label value: letters, digits"
_LABEL_KEY = "write a label key such as app.kubernetes.io/name"

POLICIES: list[Bad] = [
    *_out_of_range(),
    _policy(
        "unknown sysctl",
        {"sysctls": {"vm.foo": 1}},
        "spec.sysctls",
        "unknown sysctl: write only vm.panic_on_oom",
    ),
    _policy(
        "sysctl by its path",
        {"sysctls": {"vm/swappiness": 1}},
        "spec.sysctls",
        "unknown sysctl: write only vm.panic_on_oom",
    ),
    _policy(
        "sysctl without a value, as a template may leave it",
        {"sysctls": {"vm.swappiness": None}},
        "spec.sysctls.vm.swappiness",
        "is empty: write an integer",
        "a sysctl has no value: write one or leave it out",
    ),
    _policy(
        "sysctl as a string",
        {"sysctls": {"vm.swappiness": "10"}},
        "spec.sysctls.vm.swappiness",
        "'10' is of the wrong type: write an integer",
        "must be of type integer",
    ),
    _policy(
        "sysctl as a truth value",
        {"sysctls": {"vm.oom_dump_tasks": True}},
        "spec.sysctls.vm.oom_dump_tasks",
        "true is of the wrong type: write an integer",
        "must be of type int",
    ),
    _policy(
        "panic_on_oom 1 without acknowledgement",
        {"sysctls": {"vm.panic_on_oom": 1}},
        "spec.sysctls.vm.panic_on_oom",
        "write 0, or panicSafety.acknowledge: [NodePanic, KubeletConflict]",
    ),
    _policy(
        "panic_on_oom 1 with half of it",
        {"sysctls": {"vm.panic_on_oom": 1}, "panicSafety": {"acknowledge": ["NodePanic"]}},
        "spec.sysctls.vm.panic_on_oom",
        "write 0, or panicSafety.acknowledge: [NodePanic, KubeletConflict]",
    ),
    _policy(
        "panic_on_oom 2 with the acknowledgements of 1",
        {"sysctls": {"vm.panic_on_oom": 2}, "panicSafety": {"acknowledge": ["NodePanic", "KubeletConflict"]}},
        "spec.sysctls.vm.panic_on_oom",
        "write 0, or panicSafety.acknowledge: [ContainerLimitPanicsNode, KubeletConflict]",
    ),
    _policy(
        "overcommit_memory against kubelet",
        {"sysctls": {"vm.overcommit_memory": 2}},
        "spec.sysctls.vm.overcommit_memory",
        "kubelet writes 1 at each start: write 1, or panicSafety.acknowledge: [KubeletConflict]",
    ),
    _policy(
        "overcommit_memory 0 against kubelet",
        {"sysctls": {"vm.overcommit_memory": 0}, "panicSafety": {"acknowledge": ["NodePanic"]}},
        "spec.sysctls.vm.overcommit_memory",
        "kubelet writes 1 at each start: write 1, or panicSafety.acknowledge: [KubeletConflict]",
    ),
    _policy(
        "kernel.panic against kubelet",
        {"sysctls": {"kernel.panic": 60}},
        "spec.sysctls.kernel.panic",
        "kubelet writes 10 at each start: write 10, or panicSafety.acknowledge: [KubeletConflict]",
    ),
    _policy(
        "panic without a reboot",
        {"sysctls": {"vm.panic_on_oom": 1, "kernel.panic": 0}, "panicSafety": _ALL_ACKNOWLEDGED},
        "spec.sysctls.kernel.panic",
        "hangs forever at 0: write 1 or more seconds, such as 10",
    ),
    _policy(
        "misspelt field",
        {"sysctl": {}},
        "spec.sysctl",
        "unknown field: write one of priority, nodeSelector, mode",
        'unknown field "spec.sysctl"',
    ),
    _policy(
        "Python's spelling of a field",
        {"on_release": "Keep"},
        "spec.on_release",
        "unknown field: write one of",
        'unknown field "spec.on_release"',
    ),
    _policy(
        "misspelt nested field",
        {"rollout": {"max": 1}},
        "spec.rollout.max",
        "unknown field: write one of maxConcurrent, soakSeconds, canary, haltOnFailure",
        'unknown field "spec.rollout.max"',
    ),
    _policy(
        "mode in lower case",
        {"mode": "enforce"},
        "spec.mode",
        "'enforce' is not one of them: write Enforce or Audit",
        'supported values: "Enforce", "Audit"',
    ),
    _policy(
        "unknown persistence",
        {"persistence": "Always"},
        "spec.persistence",
        "write Runtime or Persistent",
        'supported values: "Runtime", "Persistent"',
    ),
    _policy(
        "unknown onRelease",
        {"onRelease": "Delete"},
        "spec.onRelease",
        "write Restore or Keep",
        'supported values: "Restore", "Keep"',
    ),
    _policy(
        "priority too large",
        {"priority": 1_000_001},
        "spec.priority",
        "1000001 is too large: write at most 1000000",
        "should be less than or equal to 1000000",
    ),
    _policy(
        "priority too small",
        {"priority": -1_000_001},
        "spec.priority",
        "-1000001 is too small: write at least -1000000",
        "should be greater than or equal to -1000000",
    ),
    _policy(
        "suspend as a string",
        {"suspend": "true"},
        "spec.suspend",
        "'true' is of the wrong type: write true or false",
        "must be of type boolean",
    ),
    _policy(
        "no node at a time", {"rollout": {"maxConcurrent": 0}}, "spec.rollout.maxConcurrent", _CONCURRENT
    ),
    _policy(
        "no per cent of the nodes",
        {"rollout": {"maxConcurrent": "0%"}},
        "spec.rollout.maxConcurrent",
        _CONCURRENT,
    ),
    _policy(
        "more nodes than an integer holds",
        {"rollout": {"maxConcurrent": 10**20}},
        "spec.rollout.maxConcurrent",
        _CONCURRENT,
        "must be of type integer,string",
    ),
    _policy(
        "100001 nodes", {"rollout": {"maxConcurrent": 100001}}, "spec.rollout.maxConcurrent", _CONCURRENT
    ),
    _policy(
        "more than all", {"rollout": {"maxConcurrent": "101%"}}, "spec.rollout.maxConcurrent", _CONCURRENT
    ),
    _policy(
        "a number as a string", {"rollout": {"maxConcurrent": "5"}}, "spec.rollout.maxConcurrent", _CONCURRENT
    ),
    _policy(
        "soaking for more than a day",
        {"rollout": {"soakSeconds": 86401}},
        "spec.rollout.soakSeconds",
        "write at most 86400",
        "should be less than or equal to 86400",
    ),
    _policy(
        "unknown acknowledgement",
        {"panicSafety": {"acknowledge": ["Everything"]}},
        "spec.panicSafety.acknowledge[0]",
        "write KubeletConflict, NodePanic or ContainerLimitPanicsNode",
        'supported values: "KubeletConflict", "NodePanic", "ContainerLimitPanicsNode"',
    ),
    _policy(
        "the same acknowledgement twice",
        {"panicSafety": {"acknowledge": ["NodePanic", "NodePanic"]}},
        "spec.panicSafety.acknowledge",
        "NodePanic occurs twice: write it once",
        'Duplicate value: "NodePanic"',
    ),
    _policy(
        "too many panics",
        {"panicSafety": {"maxPanics": 101}},
        "spec.panicSafety.maxPanics",
        "write at most 100",
        "should be less than or equal to 100",
    ),
    *(
        _policy(f"window {text!r}", {"panicSafety": {"window": text}}, "spec.panicSafety.window", _WINDOW)
        for text in ("1d", "", "h", "59s", "168h1s", "1m30", "30m1h", "-1h", "1.5h", "1h\n")
    ),
    _policy(
        "label key",
        {"nodeSelector": {"matchLabels": {"-x": "y"}}},
        "spec.nodeSelector.matchLabels",
        _LABEL_KEY,
    ),
    _policy(
        "label value",
        {"nodeSelector": {"matchLabels": {"x": "y z"}}},
        "spec.nodeSelector.matchLabels.x",
        _LABEL_VALUE,
    ),
    _policy(
        "label without a value, as a template may leave it",
        {"nodeSelector": {"matchLabels": {"pool": None}}},
        "spec.nodeSelector.matchLabels.pool",
        "is empty: write a string",
        "a label has no value: write one",
    ),
    _policy(
        "selector key",
        _expression(key="a b", operator="Exists"),
        "spec.nodeSelector.matchExpressions[0].key",
        _LABEL_KEY,
    ),
    _policy(
        "selector value",
        _expression(key="a", operator="In", values=["ok", "-"]),
        "spec.nodeSelector.matchExpressions[0].values[1]",
        _LABEL_VALUE,
    ),
    _policy(
        "In without values",
        _expression(key="a", operator="In"),
        "spec.nodeSelector.matchExpressions[0].values",
        "In and NotIn compare with a list: write at least one entry under values",
    ),
    _policy(
        "NotIn with no value in the list",
        _expression(key="a", operator="NotIn", values=[]),
        "spec.nodeSelector.matchExpressions[0].values",
        "In and NotIn compare with a list: write at least one entry under values",
    ),
    _policy(
        "Exists with values",
        _expression(key="a", operator="Exists", values=["b"]),
        "spec.nodeSelector.matchExpressions[0].values",
        "Exists and DoesNotExist look only at the key: leave values out",
    ),
    _policy(
        "DoesNotExist with values",
        _expression(key="a", operator="DoesNotExist", values=["b"]),
        "spec.nodeSelector.matchExpressions[0].values",
        "Exists and DoesNotExist look only at the key: leave values out",
    ),
    _policy(
        "Gt, which only node affinity knows",
        _expression(key="a", operator="Gt", values=["1"]),
        "spec.nodeSelector.matchExpressions[0].operator",
        "write In, NotIn, Exists or DoesNotExist",
        'supported values: "In", "NotIn", "Exists", "DoesNotExist"',
    ),
    _policy(
        "adjustment of nothing",
        _adjust(),
        "spec.oomScoreAdjustments[0]",
        "write exactly one of podSelector, systemdUnit and process",
    ),
    _policy(
        "adjustment of two things",
        _adjust(systemdUnit="a.service", process={"comm": "b"}),
        "spec.oomScoreAdjustments[0]",
        "write exactly one of podSelector, systemdUnit and process",
    ),
    _policy(
        "containers of a unit",
        _adjust(systemdUnit="a.service", containers=["c"]),
        "spec.oomScoreAdjustments[0].containers",
        "restricts podSelector: write podSelector too",
    ),
    _policy(
        "namespaces of a unit",
        _adjust(systemdUnit="a.service", namespaceSelector={}),
        "spec.oomScoreAdjustments[0].namespaceSelector",
        "restricts podSelector: write podSelector too",
    ),
    _policy(
        "unit without its type",
        _adjust(systemdUnit="sshd"),
        "spec.oomScoreAdjustments[0].systemdUnit",
        "write the full name of a systemd unit, such as sshd.service",
    ),
    _policy(
        "comm longer than the kernel's",
        _adjust(process={"comm": "0123456789abcdef"}),
        "spec.oomScoreAdjustments[0].process.comm",
        "write at most 15 characters",
        "may not be more than 15 bytes",
    ),
    _policy(
        "adjustment's name",
        _adjust(systemdUnit="a.service", name="Not_A_Label"),
        "spec.oomScoreAdjustments[0].name",
        "write lower-case letters, digits and '-'",
    ),
    _policy(
        "oom_score_adj too large",
        _adjust(systemdUnit="a.service", value=1001),
        "spec.oomScoreAdjustments[0].value",
        "write at most 1000",
        "should be less than or equal to 1000",
    ),
    _policy(
        "oom_score_adj too small",
        _adjust(systemdUnit="a.service", value=-1001),
        "spec.oomScoreAdjustments[0].value",
        "write at least -1000",
        "should be greater than or equal to -1000",
    ),
    _policy(
        "two adjustments of one name",
        {"oomScoreAdjustments": [{"name": "a", "value": 1, "systemdUnit": "a.service"}] * 2},
        "spec.oomScoreAdjustments",
        "name a occurs twice: write it once",
        'Duplicate value: {"name":"a"}',
    ),
    _policy(
        "more adjustments than fit",
        {
            "oomScoreAdjustments": [
                {"name": f"a{i}", "value": 1, "systemdUnit": "a.service"} for i in range(33)
            ]
        },
        "spec.oomScoreAdjustments",
        "write at most 32",
        "must have at most 32 items",
    ),
    Bad(
        name="no spec",
        base=PLAIN,
        change={"spec": REMOVE},
        path="spec",
        says="is missing",
        server="Required value",
    ),
    Bad(
        name="a cause that is none",
        base=POLICY,
        change={"status/oom/byCause/0/cause": "BadLuck"},
        path="status.oom.byCause[0].cause",
        says="'BadLuck' is not one of them: write ContainerLimit, PodLimit",
        server='supported values: "ContainerLimit", "PodLimit"',
    ),
    Bad(
        name="more examples than fit",
        base=POLICY,
        change={"status/exampleNodes": [{"name": f"n{i}", "state": "Drifted"} for i in range(11)]},
        path="status.exampleNodes",
        says="write at most 10",
        server="must have at most 10 items",
    ),
    Bad(
        name="a condition's reason of two words",
        base=POLICY,
        change={"status/conditions/0/reason": "all well"},
        path="status.conditions[0].reason",
        says="write one CamelCase word",
    ),
    Bad(
        name="a condition twice",
        base=POLICY,
        change={"status/conditions/1/type": "Ready"},
        path="status.conditions",
        says="type Ready occurs twice: write it once",
        server='Duplicate value: {"type":"Ready"}',
    ),
]

NODES: list[Bad] = [
    Bad(
        name="the controller cannot ask for another sysctl either",
        base=NODE,
        change={"spec/sysctls/0/name": "kernel.core_pattern"},
        path="spec.sysctls[0].name",
        says="write vm.panic_on_oom, vm.oom_kill_allocating_task",
        server='supported values: "vm.panic_on_oom"',
    ),
    Bad(
        name="a sysctl twice",
        base=NODE,
        change={"spec/sysctls": [{"name": "vm.swappiness", "value": 1, "policy": "p"}] * 2},
        path="spec.sysctls",
        says="name vm.swappiness occurs twice",
        server='Duplicate value: {"name":"vm.swappiness"}',
    ),
    Bad(
        name="an adjustment twice from one policy",
        base=NODE,
        change={"spec/oomScoreAdjustments/0/policy": "q"},
        path="spec.oomScoreAdjustments",
        says="occurs twice: write it once",
        server="Duplicate value",
    ),
    Bad(
        name="a state that is none",
        base=NODE,
        change={"status/sysctls/0/state": "Fine"},
        path="status.sysctls[0].state",
        says="write InSync, Drifted, Pending, Refused, Unsupported or Audited",
        server='supported values: "InSync", "Drifted", "Pending", "Refused", "Unsupported", "Audited"',
    ),
    Bad(
        name="cgroup v3",
        base=NODE,
        change={"status/kernel/cgroupVersion": 3},
        path="status.kernel.cgroupVersion",
        says="write at most 2",
        server="should be less than or equal to 2",
    ),
    Bad(
        name="a quantity with a space",
        base=NODE,
        change={"status/kernel/memory": "16 Gi"},
        path="status.kernel.memory",
        says="write a quantity like 100Mi or 16303428Ki",
    ),
    Bad(
        name="a negative counter",
        base=NODE,
        change={"status/counters/recorded": -1},
        path="status.counters.recorded",
        says="write at least 0",
        server="should be greater than or equal to 0",
    ),
    Bad(
        name="a time without a zone",
        base=NODE,
        change={"status/counters/since": "2026-11-23T09:00:00"},
        path="status.counters.since",
        says="is no time: write it like 2026-01-02T15:04:05Z",
        server="must be of type date-time",
    ),
]

INCIDENTS: list[Bad] = [
    Bad(
        name="a workload and a host cgroup",
        base=INCIDENT,
        change={"spec/cgroup": "/x"},
        path="spec.cgroup",
        says="is for host processes: write either workload or cgroup",
    ),
    Bad(
        name="a container without its workload",
        base=HOST_INCIDENT,
        change={"spec/container": "c"},
        path="spec.container",
        says="belongs to a workload: write workload too, or leave container out",
    ),
    Bad(
        name="no cause",
        base=HOST_INCIDENT,
        change={"spec/cause": REMOVE},
        path="spec.cause",
        says="is missing",
        server="spec.cause: Required value",
    ),
    Bad(
        name="no node",
        base=HOST_INCIDENT,
        change={"spec/nodeName": REMOVE},
        path="spec.nodeName",
        says="is missing",
        server="spec.nodeName: Required value",
    ),
    Bad(
        name="a ring of eleven",
        base=INCIDENT,
        change={"status/kills": [{"id": str(i), "time": "2026-11-23T09:00:00Z"} for i in range(11)]},
        path="status.kills",
        says="write at most 10",
        server="must have at most 10 items",
    ),
    Bad(
        name="history by half hours",
        base=INCIDENT,
        change={"status/history/0/hour": "2026-11-23T08:30:00Z"},
        path="status.history[0].hour",
        says="write a full hour, like 2026-01-02T15:00:00Z",
    ),
    Bad(
        name="more than a whole",
        base=INCIDENT,
        change={"status/evidence/contributors/0/sharePercent": 101},
        path="status.evidence.contributors[0].sharePercent",
        says="write at most 100",
        server="should be less than or equal to 100",
    ),
    Bad(
        name="a share as a float",
        base=INCIDENT,
        change={"status/evidence/contributors/0/sharePercent": 0.5},
        path="status.evidence.contributors[0].sharePercent",
        says="is of the wrong type: write an integer",
        server="must be of type int64",
    ),
    Bad(
        name="an endless summary",
        base=INCIDENT,
        change={"status/summary": "x" * 1025},
        path="status.summary",
        says="write at most 1024 characters",
        server="may not be more than 1024 bytes",
    ),
]

REPORTS: list[Bad] = [
    *(
        Bad(
            name=f"report window {text}",
            base=REPORT,
            change={"spec/window": text},
            path="spec.window",
            says="write a duration from 1h to 168h",
        )
        for text in ("59m", "169h", "7d")
    ),
    *(
        Bad(
            name=f"refreshing every {text}",
            base=REPORT,
            change={"spec/refreshInterval": text},
            path="spec.refreshInterval",
            says="write a duration from 10s to 1h",
        )
        for text in ("9s", "61m")
    ),
    Bad(
        name="a top of none",
        base=REPORT,
        change={"spec/top": 0},
        path="spec.top",
        says="write at least 1",
        server="should be greater than or equal to 1",
    ),
    Bad(
        name="a top of everybody",
        base=REPORT,
        change={"spec/top": 51},
        path="spec.top",
        says="write at most 50",
        server="should be less than or equal to 50",
    ),
    Bad(
        name="more buckets than fit",
        base=REPORT,
        change={"status/buckets": [{"start": "2026-11-23T09:00:00Z", "kills": 0}] * 25},
        path="status.buckets",
        says="write at most 24",
        server="must have at most 24 items",
    ),
]

BAD: list[Bad] = [*POLICIES, *NODES, *INCIDENTS, *REPORTS]
