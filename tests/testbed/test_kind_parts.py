"""What a kind cluster is made with, piece by piece; the cluster itself is test_kind.py's."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed import netfilter, pulling
from tests.testbed.commands import run
from tests.testbed.errors import TestbedError
from tests.testbed.kind import config, runc_without_sys_resource

BEFORE = """\
*filter
:INPUT ACCEPT [10:20]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i eth0 -j ACCEPT
COMMIT
"""
AFTER = """\
*filter
:INPUT ACCEPT [400:9000]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [3:4]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -i eth0 -j ACCEPT
-A FORWARD -o br-0123456789ab -m comment --comment "a b" -j ACCEPT
-A DOCKER-USER -j RETURN
-A FORWARD -i veth7 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE
COMMIT
"""


def test_docker_rules_are_removed_first_then_its_chains_and_no_others() -> None:
    commands = [" ".join(command) for command in netfilter.undoing(BEFORE, AFTER)]
    assert commands == [
        "-t filter -D FORWARD -j DOCKER-USER",
        "-t filter -D FORWARD -o br-0123456789ab -m comment --comment a b -j ACCEPT",
        "-t filter -D DOCKER-USER -j RETURN",
        "-t nat -D POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE",
        "-t filter -F DOCKER",
        "-t filter -F DOCKER-USER",
        "-t nat -F DOCKER",
        "-t filter -X DOCKER",
        "-t filter -X DOCKER-USER",
        "-t nat -X DOCKER",
        "-t filter -P FORWARD ACCEPT",
    ]


def test_preexisting_docker_keeps_its_rules() -> None:
    assert netfilter.undoing(AFTER, AFTER) == []


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder with a config.json as Docker writes one for a privileged container."""
    capabilities = {"bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}
    process = {"capabilities": capabilities, "rlimits": [{"type": "RLIMIT_NOFILE"}], "oomScoreAdj": -500}
    (tmp_path / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", "process": process}))
    return tmp_path


@pytest.mark.parametrize("option", ["--bundle={}", "-b={}"])
def test_wrapper_removes_the_capability_and_its_users_from_a_bundle(bundle: Path, option: str) -> None:
    path = runc_without_sys_resource.specification_of(["create", option.format(bundle), "id"])
    assert path == bundle / "config.json"
    process = json.loads(path.read_text())["process"]
    runc_without_sys_resource.without_sys_resource(process)
    assert process == {"capabilities": {"bounding": ["CAP_KILL"], "effective": []}, "oomScoreAdj": 0}


def test_wrapper_runs_standalone_and_execs_runc_with_the_same_arguments(bundle: Path) -> None:
    program = bundle / "runc"
    text = Path(runc_without_sys_resource.__file__).read_text()
    program.write_text(text.replace("/usr/sbin/runc", "/bin/echo"))
    done = subprocess.run(
        [sys.executable, "-I", program, "--log", "x", "run", "--bundle", bundle, "id"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"--log x run --bundle {bundle} id\n"
    assert json.loads((bundle / "config.json").read_text())["process"]["oomScoreAdj"] == 0
    # `runc exec` without --process, `state` and `delete` have nothing to change.
    assert runc_without_sys_resource.specification_of(["exec", "id", "true"]) is None
    assert runc_without_sys_resource.specification_of(["delete", "id"]) is None


def test_exec_gets_a_process_only(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{}")
    arguments = ["exec", "--process", str(tmp_path / "p.json"), "id"]
    assert runc_without_sys_resource.specification_of(arguments) == tmp_path / "p.json"


def test_cluster_of_own_nodes_uses_no_kindnet_and_accepts_cgroup_v1() -> None:
    cluster = json.loads(config.cluster_config(workers=2, has_kindnet=False))
    assert [node["role"] for node in cluster["nodes"]] == ["control-plane", "worker", "worker"]
    assert cluster["networking"] == {"disableDefaultCNI": True}
    [kubelet] = map(json.loads, cluster["kubeadmConfigPatches"])
    is_v1 = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
    assert ("failCgroupV1" in kubelet) == is_v1


def script(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_pull_is_awaited_while_the_registry_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "CONTACT_SECONDS", 5.0)
    puller = script(
        tmp_path / "p", "echo latest: Pulling from x; sleep 6; test $1 = busybox:1; echo Digest: y"
    )
    assert pulling.pull([puller], image="busybox:1", say=lambda _: None)


@pytest.mark.parametrize(
    ("text", "contact_seconds", "reason"),
    [
        ("exec sleep 60", 1.0, "no answer in 1 s"),
        ("echo dial tcp: refused; exit 1", 60.0, "dial tcp: refused"),
    ],
)
def test_pull_without_registry_fails_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, contact_seconds: float, reason: str
) -> None:
    monkeypatch.setattr(pulling, "CONTACT_SECONDS", contact_seconds)
    said: list[str] = []
    assert not pulling.pull([script(tmp_path / "p", text)], image="busybox:1", say=said.append)
    assert said[-1] == f"no registry gives busybox:1: {reason}"


def test_failing_or_missing_program_is_named() -> None:
    with pytest.raises(TestbedError, match=r"sh -c .*exit 3: because"):
        run(["sh", "-c", "echo because >&2; exit 3"])
    with pytest.raises(TestbedError, match="no-such-program not found"):
        run(["no-such-program"])
    with pytest.raises(TestbedError, match="not done within"):
        run(["sleep", "60"], seconds=0.1)


@pytest.mark.skipif(os.geteuid() != 0, reason="iptables-save needs root")
def test_unchanged_firewall_needs_no_restore() -> None:
    for saved in netfilter.dump().values():
        assert netfilter.undoing(saved, saved) == []
