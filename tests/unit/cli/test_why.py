"""`kubectl oom why`: answers from ContainerKills, of pods that exist and of deleted ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomkeeper.cli.kubectl_oom import main
from oomkeeper.model.killer import Killer
from oomkeeper.reporting.why import ends_of_pod, next_command
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.record import read
from tests.unit.agent.kube_server import Exchange, server
from tests.unit.api.objects import CONTAINER_KILL

POD = "web-5d4f7c9b8-x2x7k"
UID = "0b5e6b1e-2222-4333-8444-555566667777"
Json = dict[str, Any]


def kill_object(**evidence: Any) -> Json:
    made = copy.deepcopy(CONTAINER_KILL)
    made["metadata"]["namespace"] = "shop"
    made["status"]["evidence"] = {"trace": "Complete", **evidence}
    made["status"]["uncertain"] = []
    return made


def pod_object(*statuses: Json) -> Json:
    return {
        "metadata": {"name": POD, "namespace": "shop", "uid": UID},
        "spec": {"nodeName": "n1"},
        "status": {"containerStatuses": [*statuses]},
    }


def ended(name: str, container_id: str, *, exit_code: int = 137) -> Json:
    state = {
        "exitCode": exit_code,
        "reason": "Error",
        "finishedAt": "2026-11-23T09:00:00Z",
        "containerID": f"containerd://{container_id}",
    }
    return {"name": name, "lastState": {"terminated": state}, "state": {"running": {}}}


class Cluster:
    def __init__(self) -> None:
        self.kills: list[Json] = []
        self.pod: Json | None = None
        self.status = 200
        self.paths: list[str] = []

    def answer(self, exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0]
        self.paths.append(path)
        if self.status != 200:
            exchange.json({"message": "no rights"}, status=self.status)
        elif path.endswith("/containerkills"):
            exchange.json({"metadata": {"resourceVersion": "7"}, "items": self.kills})
        elif self.pod is not None and path.endswith(f"/pods/{POD}"):
            exchange.json(self.pod)
        else:
            exchange.json({"message": "not found"}, status=404)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


Why = Callable[..., tuple[int, str, str]]


@pytest.fixture
def why(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Why]:
    with server(cluster.answer) as url:
        config = {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
                {"name": "plain", "context": {"cluster": "c", "user": "u"}},
            ],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(config))

        def run(*words: str, pod: str = POD) -> tuple[int, str, str]:
            try:
                status = main(["why", pod, f"--kubeconfig={file}", *words])
            except SystemExit as end:
                status = int(end.code or 0)
            out, err = capsys.readouterr()
            return status, out, err

        yield run


def test_answer_has_killer_evidence_certainty_and_the_next_command(cluster: Cluster, why: Why) -> None:
    cluster.kills = [copy.deepcopy(CONTAINER_KILL)]
    cluster.pod = pod_object(ended("app", "a" * 64))
    status, out, err = why()
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"Container app of pod shop/{POD} ended at 2026-11-23T09:00:00Z with exit code 137 (Error).",
        "  Killed by: Probe (Proved)",
        "  Container app was killed.",
        "  Evidence:",
        "    SIGKILL at 2026-11-23T09:00:00.123456Z from runc (pid 7), program /usr/sbin/runc in "
        "/system.slice/containerd.service, which was gone when it was looked at, to java (pid 4711), "
        "the container's first process",
        "    OOMIncident web-app-9876543210",
        "    Pod status Evicted: The node was low on resource: memory.",
        "    Condition DisruptionTarget: TerminationByKubelet",
        "    Pod deleted: its grace period of 30 s expires at 2026-11-23T09:00:00Z",
        "    Event Killing at 2026-11-23T08:59:30Z: Container app failed liveness probe, will be restarted",
        "    Line in the kernel log at 2026-11-23T09:00:00Z, which any process with access to /dev/kmsg can "
        'write: earlyoom[41]: sending SIGKILL to process 4711 uid 0 "java"',
        "  Uncertain:",
        "    Records were lost.",
        f"  Next: kubectl describe pod {POD} -n shop",
    ]


def test_deleted_pod_is_answered_from_the_recorded_ends(cluster: Cluster, why: Why) -> None:
    cluster.kills = [kill_object()]
    status, out, _ = why(pod=f"pod/{POD}")
    assert status == 0
    assert f"of pod shop/{POD} (deleted) ended" in out
    assert "Next: kubectl get ckill web-app-0123456789 -n shop -o yaml" in out


def test_pod_of_the_same_name_with_another_uid_is_another_pod(cluster: Cluster, why: Why) -> None:
    cluster.kills = [kill_object()]
    cluster.pod = pod_object()
    cluster.pod["metadata"]["uid"] = "another"
    status, out, _ = why()
    assert (status, out) == (0, f"No container of pod shop/{POD} ended by SIGKILL (exit code 137).\n")


def test_end_that_is_not_recorded_yet_is_named(cluster: Cluster, why: Why) -> None:
    cluster.kills = [kill_object()]
    cluster.pod = pod_object(
        ended("app", "a" * 64), ended("side", "b" * 64), ended("ok", "c" * 64, exit_code=1)
    )
    _, out, _ = why()
    assert out.count("nothing is recorded of it (yet)") == 1
    assert "Container side of pod" in out
    assert out.rstrip().endswith("Next: kubectl get oomn n1")


def test_earlier_end_has_no_evidence_of_its_own(cluster: Cluster, why: Why) -> None:
    one = kill_object(podReason="Evicted")
    later = one["status"]["ends"][0] | {"pod": "web-later", "containerID": "b" * 64}
    one["status"]["ends"].insert(0, later)
    cluster.kills = [one]
    _, out, _ = why()
    assert "Evidence: kept for the last end alone" in out
    assert "Evicted" not in out


def test_json_and_yaml_have_the_same_content(cluster: Cluster, why: Why) -> None:
    cluster.kills = [kill_object(podReason="Evicted")]
    cluster.pod = pod_object(ended("side", "b" * 64))
    record = json.loads(why("-o", "json")[1])
    assert yaml.safe_load(why("-o", "yaml")[1]) == record
    assert (record["pod"], record["namespace"], record["exists"]) == (POD, "shop", True)
    (one,) = record["containers"]
    assert (one["killer"], one["certainty"], one["exitCode"]) == ("Probe", "Proved", 137)
    assert one["evidence"] == {"podReason": "Evicted", "trace": "Complete"}
    assert [each["container"] for each in record["unexplained"]] == ["side"]


def test_namespace_is_the_options_or_the_contexts(cluster: Cluster, why: Why) -> None:
    cluster.pod = pod_object()
    for words, namespace in (
        ((), "shop"),
        (("-n", "bank"), "bank"),
        (("--context", "plain"), "default"),
    ):
        cluster.paths.clear()
        assert why(*words)[0] == 0
        root = f"/apis/oomkeeper.dev/v1alpha1/namespaces/{namespace}/containerkills"
        assert cluster.paths == [root, f"/api/v1/namespaces/{namespace}/pods/{POD}"]


def test_unknown_pod_refusal_and_wrong_context_are_one_line(cluster: Cluster, why: Why) -> None:
    status, out, err = why()
    assert (status, out) == (1, "")
    assert err == (
        f"kubectl oom why: pod shop/{POD} not found, and no end of a container of it is recorded\n"
    )
    cluster.status = 403
    status, out, err = why()
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "403 no rights" in err
    status, _, err = why("--context", "nowhere")
    assert (status, err.count("\n")) == (2, 1)
    assert "nowhere" in err


def test_lost_run_without_a_container_id_is_explained(cluster: Cluster, why: Why) -> None:
    one = kill_object(podReason="Evicted")
    one["status"]["ends"][0]["reason"] = "ContainerStatusUnknown"
    lost = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}
    cluster.kills = [one]
    cluster.pod = pod_object({"name": "app", "state": lost, "lastState": lost})
    assert "nothing is recorded" not in why()[1]
    cluster.kills = []
    assert "nothing is recorded" in why()[1]


def test_talos_own_log_is_the_next_one(cluster: Cluster, why: Why) -> None:
    claim = {"program": "Talos' OOM controller", "text": "[talos] x", "time": "2026-11-23T09:00:00Z"}
    cluster.kills = [kill_object(claim=claim)]
    cluster.kills[0]["spec"]["killer"] = "UserSpaceOOM"
    node = cluster.kills[0]["spec"]["nodeName"]
    assert why()[1].rstrip().endswith(f"Next: talosctl dmesg -n {node}")


def test_text_of_others_is_escaped(cluster: Cluster, why: Why) -> None:
    event = {"reason": "Killing", "message": "\x1b[31mred"}
    cluster.kills = [kill_object(event=event)]
    _, out, _ = why()
    assert "\\x1b[31mred" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("killer", Killer)
@pytest.mark.parametrize("exists", [True, False])
def test_every_killer_has_a_next_command(killer: Killer, exists: bool) -> None:
    sender = {"pid": 1, "place": "OtherPod", "pod": "ops/debug", "cgroup": "/system.slice/ssh.service"}
    for evidence in ({}, {"sender": sender, "incident": "web-1"}):
        made = kill_object(**evidence)
        made["spec"]["killer"] = str(killer)
        found = ends_of_pod([read(ContainerKill, made)], pod=POD, namespace="shop", obj=None)
        command = next_command(found.ends[0], namespace="shop", exists=exists)
        assert command.startswith("kubectl ")
        assert exists or f"logs {POD}" not in command
