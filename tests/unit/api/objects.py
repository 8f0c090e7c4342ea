"""One object of every kind with every field set, as its writer would send it."""

from typing import Any

SELECTOR: dict[str, Any] = {
    "matchLabels": {"pool": "batch", "example.org/tier": ""},
    "matchExpressions": [
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
        {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"},
    ],
}


def condition(kind: str, status: str = "True", reason: str = "AsWanted") -> dict[str, Any]:
    """One condition."""
    return {
        "type": kind,
        "status": status,
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-23T09:00:00Z",
        "reason": reason,
        "message": "",
    }


POLICY: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMPolicy",
    "metadata": {"name": "full"},
    "spec": {
        "priority": -5,
        "nodeSelector": SELECTOR,
        "mode": "Audit",
        "suspend": True,
        "sysctls": {
            "vm.panic_on_oom": 1,
            "vm.oom_kill_allocating_task": 1,
            "vm.oom_dump_tasks": 0,
            "kernel.panic": 30,
            "vm.overcommit_memory": 2,
            "vm.overcommit_ratio": 80,
            "vm.min_free_kbytes": 131072,
            "vm.watermark_scale_factor": 100,
            "vm.admin_reserve_kbytes": 16384,
            "vm.user_reserve_kbytes": 0,
            "vm.swappiness": 200,
        },
        "persistence": "Persistent",
        "onRelease": "Keep",
        "oomScoreAdjustments": [
            {
                "name": "batch-dies-first",
                "podSelector": SELECTOR,
                "namespaceSelector": SELECTOR,
                "containers": ["worker", "sidecar"],
                "value": 800,
            },
            {"name": "keep-sshd", "systemdUnit": "sshd.service", "value": -1000},
            {"name": "agents", "process": {"comm": "node_exporter"}, "value": -500},
        ],
        "rollout": {
            "maxConcurrent": 5,
            "soakSeconds": 60,
            "canary": {
                "nodeSelector": {
                    "matchLabels": {"pool": "canary"},
                    "matchExpressions": [
                        {"key": "zone", "operator": "In", "values": ["a", "b"]},
                        {"key": "spot", "operator": "DoesNotExist"},
                    ],
                },
                "soakSeconds": 3600,
            },
            "haltOnFailure": False,
        },
        "panicSafety": {
            "acknowledge": ["NodePanic", "KubeletConflict"],
            "maxPanics": 0,
            "window": "1h30m",
            "cordon": True,
        },
    },
    "status": {
        "observedGeneration": 3,
        "conditions": [condition("Ready"), condition("Progressing", "False")],
        "nodes": {
            "matched": 7,
            "inSync": 1,
            "drifted": 1,
            "pending": 1,
            "refused": 1,
            "unsupported": 1,
            "unreachable": 1,
            "overridden": 1,
            "agentSilent": 1,
            "unmanaged": 1,
        },
        "rollout": {
            "generation": 3,
            "phase": "Halted",
            "updated": 3,
            "total": 7,
            "failed": 1,
            "joining": True,
            "progress": "3/7",
            "haltedNode": "n1",
            "reason": "NodeRefused",
            "message": "n1: kubelet protects its defaults",
            "since": "2026-11-23T09:00:00Z",
            "request": "resume",
        },
        "completedRollouts": [{"generation": 2, "completedAt": "2026-11-22T09:00:00Z", "spec": "{}"}],
        "panicBreaker": {
            "generation": 3,
            "tripped": True,
            "trippedAt": "2026-11-23T09:00:00Z",
            "panics": 2,
            "countedFrom": "2026-11-22T09:00:00Z",
            "request": "reset",
        },
        "drifts": 1,
        "exampleNodes": [{"name": "n1", "state": "Refused", "message": "kubelet protects its defaults"}],
        "overridden": [{"sysctl": "vm.swappiness", "by": "other", "nodes": 2}],
        "oomScoreAdjustments": [
            {
                "name": "batch-first",
                "nodes": 2,
                "pods": 5,
                "inForce": 7,
                "failed": 1,
                "overridden": 1,
                "overriddenBy": ["other/a"],
                "differing": 3,
            }
        ],
        "oom": {
            "window": "24h",
            "kills": 9,
            "byCause": [{"cause": "PodLimit", "kills": 9}],
            "topWorkloads": [{"namespace": "shop", "kind": "Deployment", "name": "web", "kills": 9}],
            "lastKill": {
                "time": "2026-11-23T09:00:00.123456Z",
                "namespace": "shop",
                "incident": "web-1-app-0123456789",
                "cause": "PodLimit",
                "workload": "Deployment/web",
                "node": "n1",
            },
        },
    },
}

DEFAULTS = {"mode": "Enforce", "onRelease": "Restore"}

NODE: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMNode",
    "metadata": {"name": "n1"},
    "spec": {
        "sysctls": [
            {
                "name": "vm.oom_dump_tasks",
                "value": 1,
                "policy": "keep-dumps",
                "mode": "Enforce",
                "persistence": "Runtime",
                "onRelease": "Restore",
                "acknowledge": ["KubeletConflict"],
                "panicLimit": {
                    "maxPanics": 1,
                    "windowSeconds": 3600,
                    "countedFrom": "2026-11-23T08:00:00Z",
                },
            },
        ],
        "hostKills": False,
        "oomScoreAdjustments": [
            {
                "name": "a",
                "podSelector": SELECTOR,
                "namespaceSelector": SELECTOR,
                "containers": ["c"],
                "value": 5,
                "policy": "p",
                "mode": "Audit",
                "onRelease": "Keep",
            },
            # The same name from another policy: told apart by both.
            {"name": "a", "systemdUnit": "cron.service", "value": 5, "policy": "q", **DEFAULTS},
            {"name": "b", "process": {"comm": "x y"}, "value": 5, "policy": "q", **DEFAULTS},
        ],
    },
    "status": {
        "observedGeneration": 1,
        "agentVersion": "0.1.0",
        "kernel": {
            "release": "6.12.9",
            "bootID": "6f9f3f0e-1111-4222-8333-444455556666",
            "cgroupVersion": 2,
            "pageSizeBytes": 4096,
            "memory": "24682564Ki",
            "swap": "0",
            "cpus": 2,
            "numaNodes": 1,
        },
        "kubelet": {
            "version": "v1.37.2",
            "protectKernelDefaults": False,
            "singleProcessOOMKill": True,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%"},
            "configFile": "/var/lib/kubelet/config.yaml",
        },
        "sysctls": [
            {
                "name": "vm.oom_dump_tasks",
                "desired": 1,
                "actual": 0,
                "original": 1,
                "policy": "keep-dumps",
                "mode": "Enforce",
                "state": "Drifted",
                "reason": "ForeignWriter",
                "message": "another program wrote 0",
                "persisted": False,
                "driftCount": 2,
                "lastDriftTime": "2026-11-23T09:00:00Z",
                "suspectedWriter": "systemd-sysctl",
            }
        ],
        "oomScoreAdjustments": [
            {
                "policy": "p",
                "name": "a",
                "value": 5,
                "mode": "Enforce",
                "state": "Refused",
                "reason": "NeedsCapSysResource",
                "message": "write a higher value",
                "pods": 1,
                "inForce": 2,
                "failed": 3,
                "overridden": 4,
                "overriddenBy": "q/b",
                "differing": 5,
            }
        ],
        "counters": {
            "kernelKills": 12,
            "recorded": 11,
            "unattributed": 1,
            "lostLogRecords": 4,
            "beforeInstall": 3,
            "lostTraceRecords": 6,
            "panics": 1,
            "since": "2026-11-23T08:00:00Z",
        },
        "recentPanics": ["2026-11-23T09:00:00.123456Z"],
        "lastPanic": {
            "time": "2026-11-23T07:00:00Z",
            "bootID": "5e0f3f0e-1111-4222-8333-444455556666",
            "cause": "PodLimit",
            "message": "The kernel panicked.",
        },
        "history": {"firstHour": "2026-11-23T08:00:00Z", "kills": [3, 0, 1]},
        "plan": {
            "id": "plan-1",
            "expires": "2026-11-23T09:01:00Z",
            "problem": "spec.sysctls[1]: is not an object",
            "sysctls": [
                {
                    "name": "vm.panic_on_oom",
                    "before": 0,
                    "after": 0,
                    "policy": "full",
                    "state": "Refused",
                    "reason": "ProtectKernelDefaults",
                    "message": "kubelet protects its defaults",
                }
            ],
            "oomScoreAdjustments": [
                {
                    "policy": "full",
                    "name": "batch",
                    "selected": 3,
                    "changing": 2,
                    "overridden": 1,
                    "state": "Pending",
                    "reason": "PodsUnknown",
                    "message": "the pods are not known yet",
                }
            ],
            "restoredProcesses": 1,
            "choiceBefore": "HighestScore",
            "choiceAfter": "Panic",
            "processes": [
                {
                    "pid": 7,
                    "comm": "java",
                    "where": "shop/web app",
                    "memoryBytes": 4096,
                    "adjBefore": 0,
                    "adjAfter": 800,
                    "scoreBefore": 670,
                    "scoreAfter": 1200,
                    "rankBefore": 4,
                    "rankAfter": 1,
                }
            ],
        },
        "conditions": [condition("Applied", "False"), condition("Degraded")],
    },
}

INCIDENT: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMIncident",
    "metadata": {"name": "web-1-app-0123456789", "namespace": "default"},
    "spec": {
        "nodeName": "n1",
        "workload": {"kind": "Deployment", "name": "web"},
        "container": "app",
        "cause": "PodLimit",
    },
    "status": {
        "workload": {"apiVersion": "apps/v1", "uid": "0d2c5b1a-2222-4333-8444-555566667777"},
        "containerKind": "InitContainer",
        "cause": "PodLimit",
        "level": "Pod",
        "outcome": "Killed",
        "visibility": "Reported",
        "confidence": "High",
        "count": 3,
        "firstSeen": "2026-11-23T08:00:00Z",
        "lastSeen": "2026-11-23T09:00:00.123456Z",
        "summary": "The pod reached its limit of 128 MiB.",
        "advice": [{"remedy": "FitLimit", "message": "raise the limit to 256Mi"}],
        "uncertain": ["the task table was not printed"],
        "evidence": {
            "limitBytes": 134217728,
            "usageBytes": 134217728,
            "bindingCounter": "Memory",
            "specLimitBytes": 134217728,
            "statusLimitBytes": 67108864,
            "containerID": "a" * 64,
            "oomMemcg": "/kubepods.slice/kubepods-pod0b5e.slice",
            "taskMemcg": "/kubepods.slice/kubepods-pod0b5e.slice/cri-containerd-aaaa.scope",
            "constraint": "CONSTRAINT_MEMCG",
            "nodemask": "(null)",
            "memsAllowed": "0",
            "invoker": {"comm": "web", "pid": 4711, "oomScoreAdj": 984},
            "gfp": "0xcc0(GFP_KERNEL)",
            "order": -1,
            "contributors": [
                {"name": "KernelSlab", "bytes": 1048576, "sharePercent": 1, "detail": "dentry"},
            ],
            "victims": [
                {
                    "pid": 4711,
                    "comm": "web\\x01 <x>",
                    "uid": 4294967295,
                    "totalVmBytes": 200000000,
                    "anonRssBytes": 130000000,
                    "fileRssBytes": 0,
                    "shmemRssBytes": 0,
                    "oomScoreAdj": -1000,
                }
            ],
            "victimsOmitted": 2,
            "exitCode": 137,
            "reason": "OOMKilled",
        },
        "kills": [
            {
                "id": "6f9f3f0e-1111-4222-8333-444455556666-1234",
                "time": "2026-11-23T09:00:00.123456Z",
                "comm": "web",
                "pid": 4711,
                "usageBytes": 134217728,
                "limitBytes": 134217728,
                "anonRssBytes": 130000000,
                "pod": "web-1",
                "podUID": "0b5e6b1e-2222-4333-8444-555566667777",
                "containerID": "a" * 64,
                "startedAt": "2026-01-01T00:00:00Z",
                "containerSurvived": True,
                "beforeInstall": True,
                "visibility": "Reported",
            }
        ],
        "history": [
            {"hour": "2026-11-23T08:00:00Z", "kills": 2},
            {"hour": "2026-11-23T09:00:00Z", "kills": 1},
        ],
        "conditions": [condition("EvidenceComplete")],
    },
}

HOST_INCIDENT: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMIncident",
    "metadata": {"name": "sshd-service-0123456789", "namespace": "default"},
    "spec": {"nodeName": "n2", "cgroup": "/system.slice/sshd.service", "cause": "NodeMemory"},
}

CONTAINER_KILL: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "ContainerKill",
    "metadata": {"name": "web-app-0123456789", "namespace": "default"},
    "spec": {
        "nodeName": "n1",
        "workload": {"kind": "Deployment", "name": "web"},
        "container": "app",
        "killer": "Probe",
    },
    "status": {
        "count": 2,
        "firstSeen": "2026-11-23T08:00:00Z",
        "lastSeen": "2026-11-23T09:00:00Z",
        "certainty": "Proved",
        "summary": "Container app was killed by the container runtime because its liveness probe failed.",
        "uncertain": ["Records were lost."],
        "evidence": {
            "signalTime": "2026-11-23T09:00:00.123456Z",
            "sender": {
                "pid": 7,
                "comm": "runc",
                "exe": "/usr/sbin/runc",
                "cgroup": "/system.slice/containerd.service",
                "place": "Runtime",
                "pod": "ops/debug",
                "container": "shell",
                "gone": True,
            },
            "target": {"pid": 4711, "comm": "java", "first": True},
            "incident": "web-app-9876543210",
            "event": {
                "reason": "Killing",
                "message": "Container app failed liveness probe, will be restarted",
                "time": "2026-11-23T08:59:30Z",
            },
            "claim": {
                "program": "earlyoom",
                "text": 'earlyoom[41]: sending SIGKILL to process 4711 uid 0 "java"',
                "time": "2026-11-23T09:00:00Z",
            },
            "podReason": "Evicted",
            "podMessage": "The node was low on resource: memory.",
            "disruption": "TerminationByKubelet",
            "deletionTime": "2026-11-23T09:00:00Z",
            "gracePeriodSeconds": 30,
            "trace": "Complete",
        },
        "ends": [
            {
                "pod": "web-5d4f7c9b8-x2x7k",
                "podUID": "0b5e6b1e-2222-4333-8444-555566667777",
                "containerID": "a" * 64,
                "time": "2026-11-23T09:00:00Z",
                "exitCode": 137,
                "reason": "Error",
                "certainty": "Proved",
                "summary": "Container app was killed.",
            }
        ],
    },
}

REPORT: dict[str, Any] = {
    "apiVersion": "oomkeeper.dev/v1alpha1",
    "kind": "OOMReport",
    "metadata": {"name": "full"},
    "spec": {
        "window": "168h",
        "refreshInterval": "90s",
        "namespaceSelector": SELECTOR,
        "nodeSelector": SELECTOR,
        "top": 50,
    },
    "status": {
        "observedGeneration": 1,
        "conditions": [condition("Ready"), condition("Complete", "False")],
        "refreshTime": "2026-11-23T09:00:00Z",
        "windowStart": "2026-11-16T09:00:00Z",
        "totals": {
            "kills": 10,
            "withoutIncident": 1,
            "incidents": 4,
            "nodes": 2,
            "workloads": 3,
            "unattributed": 1,
            "lostLogRecords": 5,
        },
        "byCause": [{"cause": "PodLimit", "kills": 9}, {"cause": "NodeMemory", "kills": 1}],
        "byNamespace": [{"namespace": "shop", "kills": 9}],
        "byWorkload": [
            {
                "namespace": "shop",
                "kind": "Deployment",
                "name": "web",
                "kills": 9,
                "cause": "PodLimit",
                "limitBytes": 134217728,
            },
        ],
        "byNode": [{"name": "n1", "kills": 9}],
        "bucketSeconds": 25200,
        "buckets": [{"start": "2026-11-23T08:00:00Z", "kills": 9}],
        "advice": [{"remedy": "FitLimit", "message": "raise the limit", "kills": 9, "workloads": 1}],
        "incompleteNodes": [{"name": "n1", "unattributed": 1, "lostLogRecords": 5}],
        "omitted": {"workloads": 2, "namespaces": 1, "nodes": 1},
    },
}

FULL = (POLICY, NODE, INCIDENT, CONTAINER_KILL, REPORT)
