"""The control plane level for real: it serves, clients verify it, no process outlives its holder."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import ControlPlane, TestbedError, control_plane
from tests.testbed.cache import cache_folder
from tests.testbed.checking import CHECKOUT, hold, supervisor_of
from tests.testbed.errors import KubectlError
from tests.testbed.processes import is_running, of_run
from tests.testbed.runs import live_runs, runs_folder
from tests.waiting import eventually

HOLDER = """
import json, os, sys, time
from pathlib import Path
from tests.testbed import control_plane
with control_plane(folder=Path(sys.argv[1])) as cp:
    if sys.argv[2] == "fork" and os.fork() == 0:
        time.sleep(120)
        os._exit(0)
    print(json.dumps({"folder": str(cp.folder), "url": cp.url}), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def cp() -> Iterator[ControlPlane]:
    with control_plane() as running:
        yield running


def hold_control_plane(runs: Path, how: str = "plain") -> tuple[subprocess.Popen[str], Path, int]:
    """A process that holds a control plane; its run folder and the API server's port."""
    holder, line = hold(HOLDER, str(runs), how)
    told = json.loads(line)
    return holder, Path(told["folder"]), int(told["url"].rpartition(":")[2])


def await_gone(folder: Path, port: int, *, supervisor: int) -> None:
    eventually(lambda: not of_run(folder) and not is_running(supervisor))
    with socket.socket() as probe:
        # As a server would: connections in TIME_WAIT do not matter, a listening socket does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_kubectl_reaches_server_of_the_built_version(cp: ControlPlane) -> None:
    version = json.loads(cp.kubectl("version", "--output=json"))
    assert version["serverVersion"]["gitVersion"].startswith("v1.")
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]


def test_clients_verify_the_server_certificate(cp: ControlPlane) -> None:
    request = urllib.request.Request(f"{cp.url}/api", headers={"Authorization": f"Bearer {cp.token}"})
    context = ssl.create_default_context(cafile=str(cp.ca_file))
    with urllib.request.urlopen(request, context=context) as answer:
        assert json.load(answer)["kind"] == "APIVersions"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(request, context=ssl.create_default_context())


def test_failing_kubectl_raises_with_the_server_message(cp: ControlPlane) -> None:
    with pytest.raises(KubectlError, match=r'namespaces "nowhere" not found') as failure:
        cp.kubectl("get", "namespace", "nowhere")
    assert failure.value.returncode == 1
    assert "not found" in cp.kubectl("get", "namespace", "nowhere", check=False)


def test_pod_token_names_its_node(cp: ControlPlane) -> None:
    cp.kubectl("create", "serviceaccount", "agent")
    token = cp.service_account_token(name="agent", node="node-a")
    kubeconfig = cp.kubeconfig_for(user="agent", token=token)
    who = json.loads(cp.kubectl("auth", "whoami", "--output=json", f"--kubeconfig={kubeconfig}"))
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:default:agent"
    assert who["status"]["userInfo"]["extra"]["authentication.kubernetes.io/node-name"] == ["node-a"]
    assert cp.service_account_token(name="agent", node="node-a") != token  # asked twice, the pod is made once


def test_with_controllers_a_namespace_gets_a_service_account_and_can_be_deleted(tmp_path: Path) -> None:
    with control_plane(folder=tmp_path, controllers=True) as cp:
        cp.kubectl("create", "namespace", "short-lived")
        account = ("get", "serviceaccount", "default", "-n", "short-lived", "--ignore-not-found")
        eventually(lambda: cp.kubectl(*account))
        cp.kubectl("delete", "namespace", "short-lived", "--timeout=60s")


def test_leaving_the_block_ends_all_processes_and_removes_the_folder(tmp_path: Path) -> None:
    with control_plane(folder=tmp_path) as cp:
        supervisor, port = supervisor_of(cp.folder), int(cp.url.rpartition(":")[2])
        assert len(of_run(cp.folder)) == 2
    await_gone(cp.folder, port, supervisor=supervisor)
    assert not cp.folder.exists()


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_nothing_survives_a_killed_holder(tmp_path: Path, how: str) -> None:
    # "fork": a child of the holder keeps the pipe open
    holder, folder, port = hold_control_plane(tmp_path, how)
    supervisor = supervisor_of(folder)
    assert len(of_run(folder)) == 2
    holder.kill()
    holder.wait()
    await_gone(folder, port, supervisor=supervisor)
    assert not folder.exists()


def test_next_start_removes_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    holder, folder, port = hold_control_plane(tmp_path)
    supervisor = supervisor_of(folder)
    holder.send_signal(signal.SIGSTOP)  # or it would clean up itself
    os.kill(supervisor, signal.SIGKILL)
    try:
        eventually(lambda: not of_run(folder))  # the kernel ends the supervisor's children
        assert folder.exists()
        said: list[str] = []
        with control_plane(folder=tmp_path, say=said.append) as cp:
            assert live_runs(tmp_path) == [cp.folder]
        assert f"sweeping {folder.name}, left by a killed run" in said
        await_gone(folder, port, supervisor=supervisor)
    finally:
        holder.kill()
        holder.wait()


def test_start_does_not_touch_other_running_testbeds(tmp_path: Path, cp: ControlPlane) -> None:
    with control_plane(folder=runs_folder()) as second:
        assert {second.folder, cp.folder} <= set(live_runs(runs_folder()))
        assert second.url != cp.url
    assert cp.kubectl("get", "--raw", "/readyz") == "ok"
    assert list(tmp_path.iterdir()) == []


def kill_etcd_in_use(runs: Path) -> None:
    with control_plane(folder=runs) as cp:
        [etcd] = [pid for pid in of_run(cp.folder) if Path(f"/proc/{pid}/exe").readlink().name == "etcd"]
        os.kill(etcd, signal.SIGKILL)
        eventually(lambda: not of_run(cp.folder))  # the supervisor ends the rest


def test_component_that_ended_early_is_named_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="etcd ended with code -9"):
        kill_etcd_in_use(tmp_path)
    assert (cache_folder() / "last-failed-run" / "etcd.log").exists()


def test_up_env_and_down_from_a_shell(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.testbed", *arguments, f"--folder={tmp_path}"]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert "no testbed is up; start one" in run("env").stderr
    up = run("up")
    assert up.returncode == 0, up.stderr
    try:
        assert run("env").stdout == up.stdout
        shell = subprocess.run(
            ["sh", "-c", f"{up.stdout}\nkubectl get --raw /readyz"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shell.stdout == "ok"
    finally:
        assert run("down").returncode == 0
    assert live_runs(tmp_path) == []
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
