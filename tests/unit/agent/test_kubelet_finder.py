"""Which process is believed to be the kubelet, and what is read for it: distributions, and impostors."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from oomkeeper.agent.kubelet import KubeletFacts, KubeletFinder, find_kubelet, k3s_arguments
from oomkeeper.agent.kubelet.finder import RECENT_SECONDS
from oomkeeper.agent.kubelet.host_process import is_host_root_process
from oomkeeper.kernel.cgroup.members import HostProcesses
from tests.waiting import eventually

BLOCK = (
    'protectKernelDefaults: true\nsingleProcessOOMKill: "false"\nevictionHard:\n  memory.available: 500Mi\n'
)
CONTAINER = (
    "/kubepods.slice/kubepods-pod0a1b2c3d_1111_2222_3333_444455556666.slice/cri-containerd-" + "a" * 64
)
HOST = "/system.slice/kubelet.service"


class Proc:
    """A /proc with an init, to which processes are added. All of them have one root folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "proc"
        self.root = folder / "root"
        (self.folder / "1").mkdir(parents=True)
        (self.folder / "1" / "cgroup").write_text("0::/init.scope\n")
        (self.folder / "1" / "comm").write_text("systemd\n")
        self.root.mkdir()

    def file(self, path: str, text: str) -> None:
        """A file of the host."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def put(
        self,
        pid: int,
        *arguments: str,
        comm: str = "kubelet",
        start: int = 4242,
        uid: str = "0\t0\t0\t0",
        pids: str | None = None,
        cgroup: str = HOST,
    ) -> Path:
        folder = self.folder / str(pid)
        folder.mkdir(parents=True)
        (folder / "root").symlink_to(self.root)
        (folder / "cwd").symlink_to(self.root)
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cmdline").write_bytes("\0".join(arguments).encode() + b"\0")
        (folder / "status").write_text(f"Name:\t{comm}\nUid:\t{uid}\nNSpid:\t{pids or pid}\n")
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        (folder / "environ").write_bytes(b"")
        # comm stands in brackets and may hold some itself: proc(5).
        (folder / "stat").write_text(f"{pid} ({comm}) x) S " + " ".join(["0"] * 18) + f" {start} 0 0\n")
        return folder

    def find(self, *, k3s_arguments: Sequence[str] | None = None) -> KubeletFacts | None:
        return find_kubelet(proc=self.folder, k3s_arguments=k3s_arguments)

    def found(self, *, k3s_arguments: Sequence[str] | None = None) -> KubeletFacts:
        facts = self.find(k3s_arguments=k3s_arguments)
        assert facts is not None
        return facts


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_file_is_read_below_kubelets_root_and_a_flag_wins_over_it(proc: Proc) -> None:
    proc.put(7, "kubelet", "--config=/etc/kubelet.yaml", "--protect-kernel-defaults=false", "--v", "2")
    proc.file("/etc/kubelet.yaml", BLOCK)
    found = proc.found()
    assert (found.pid, found.start_time, found.config_file) == (7, 4242, "/etc/kubelet.yaml")
    assert (found.protect_kernel_defaults, found.single_process_oom_kill, found.problem) == (
        False,
        False,
        None,
    )
    assert found.eviction_hard["memory.available"] == "500Mi"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--protect-kernel-defaults"], True),
        (["--protect-kernel-defaults", "--v=2"], True),
        (["--protect_kernel_defaults=True"], True),
        (["--protect-kernel-defaults=1", "--protect-kernel-defaults=0"], False),
        # pflag takes no separate value for a boolean: this is "true" and an argument.
        (["--protect-kernel-defaults", "false"], True),
        (["--v", "--protect-kernel-defaults"], False),
        (["--v=2"], False),
    ],
)
def test_flags_are_read_as_kubelet_reads_them(proc: Proc, flags: list[str], expected: bool) -> None:
    proc.put(7, "/usr/bin/kubelet", *flags)
    assert (proc.found().protect_kernel_defaults, proc.found().problem) == (expected, None)


def test_relative_config_is_read_where_kubelet_was_started(proc: Proc) -> None:
    proc.put(7, "kubelet", "--config", "kubelet.yaml")
    proc.file("kubelet.yaml", BLOCK)
    assert proc.found().protect_kernel_defaults


# -- drop-ins


def test_drop_ins_are_merged_in_kubelets_order(proc: Proc) -> None:
    """As on EKS with AL2023: the base says false, a drop-in true."""
    proc.put(7, "kubelet", "--config=/etc/k/config.json", "--config-dir=/etc/k/config.json.d")
    proc.file(
        "/etc/k/config.json",
        '{"protectKernelDefaults": false, "evictionHard": {"memory.available": "100Mi"}}',
    )
    proc.file("/etc/k/config.json.d/40-a.conf", '{"protectKernelDefaults": true}')
    proc.file("/etc/k/config.json.d/50-b.yaml", "protectKernelDefaults: false\n")  # not .conf: not read
    assert proc.found().protect_kernel_defaults is True
    proc.file("/etc/k/config.json.d/45/z.conf", "protectKernelDefaults: false\n")
    assert proc.found().protect_kernel_defaults is False
    proc.file(
        "/etc/k/config.json.d/90.conf", "evictionHard:\n  memory.available: 7%\nprotectKernelDefaults: true\n"
    )
    found = proc.found()
    assert (found.protect_kernel_defaults, found.eviction_hard) == (True, {"memory.available": "7%"})
    assert found.problem is None


@pytest.mark.parametrize(
    ("path", "text"),
    [("/etc/k.d/1.conf", "{broken"), ("/etc/elsewhere", "")],
    ids=["broken", "missing folder"],
)
def test_drop_in_that_cannot_be_read_is_a_problem(proc: Proc, path: str, text: str) -> None:
    proc.put(7, "kubelet", "--config-dir=/etc/k.d")
    proc.file(path, text)
    assert "/etc/k.d" in (proc.found().problem or "")


# -- distributions


def test_rke2_and_k0s_run_a_kubelet_of_their_own(proc: Proc) -> None:
    proc.put(5, "/usr/local/bin/rke2 server", comm="rke2")
    proc.put(7, "kubelet", "--config-dir=/var/lib/rancher/rke2/agent/etc/kubelet.conf.d", start=1)
    proc.file(
        "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d/00-rke2-defaults.conf",
        "protectKernelDefaults: true\n",
    )
    assert (proc.found().pid, proc.found().protect_kernel_defaults) == (7, True)


def test_microk8s_names_a_file_of_flags(proc: Proc) -> None:
    args = "/var/snap/microk8s/1/args/kubelet"
    folder = proc.put(9, "/snap/microk8s/1/kubelite", f"--kubelet-args-file={args}", comm="kubelite")
    (folder / "environ").write_bytes(b"SNAP_DATA=/var/snap/microk8s/1\0HOME=/root\0")
    proc.file(args, "--v=2\n# --protect-kernel-defaults=false\n--config=${SNAP_DATA}/kubelet.yaml\n")
    proc.file("/var/snap/microk8s/1/kubelet.yaml", "protectKernelDefaults: true\n")
    assert (proc.found().protect_kernel_defaults, proc.found().problem) == (True, None)
    proc.file(args, "--config=/nowhere\n")
    assert "/nowhere: No such file" in (proc.found().problem or "")


def test_hyperkube_is_a_kubelet_only_as_its_verb_says(proc: Proc) -> None:
    proc.put(5, "/hyperkube", "apiserver", "--protect-kernel-defaults=true", comm="hyperkube")
    assert proc.find() is None
    proc.put(7, "/hyperkube", "kubelet", "--protect-kernel-defaults=true", comm="hyperkube")
    assert (proc.found().pid, proc.found().protect_kernel_defaults) == (7, True)


K3S_DEFAULTS = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf"


@pytest.mark.parametrize(
    ("k3s_arguments", "protects"),
    [
        (["server"], False),
        (["server", "--protect-kernel-defaults"], True),
        (["server", "--protect-kernel-defaults", "true", "--tls-san", "x"], True),
        (["agent", "--protect-kernel-defaults=false"], False),
        (["agent", "--kubelet-arg", "protect-kernel-defaults=true"], True),
        (["agent", "--kubelet-arg=v=2", "--kubelet-arg=protect-kernel-defaults"], True),
        (["server", "--kubelet-arg", "config=/etc/rancher/kubelet.yaml"], True),
        (["server", "--data-dir", "/data"], True),
    ],
)
def test_k3s_is_read_from_the_arguments_that_its_node_carries(
    proc: Proc, k3s_arguments: list[str], protects: bool
) -> None:
    proc.put(7, "/usr/local/bin/k3s server", comm="k3s-server")
    proc.folder.joinpath("7/cmdline").write_bytes(b"/usr/local/bin/k3s\0server\0")
    proc.file("/etc/rancher/kubelet.yaml", BLOCK)
    proc.file("/data/agent/etc/kubelet.conf.d/00-k3s-defaults.conf", BLOCK)
    found = proc.found(k3s_arguments=k3s_arguments)
    assert (found.protect_kernel_defaults, found.problem) == (protects, None)


def test_k3s_drop_in_that_protects_is_believed(proc: Proc) -> None:
    proc.put(7, "k3s", "agent", comm="k3s-agent")
    proc.file(K3S_DEFAULTS, "protectKernelDefaults: false\n")
    assert not proc.found(k3s_arguments=["agent"]).protect_kernel_defaults
    proc.file(K3S_DEFAULTS.replace("00-k3s", "99-own"), "protectKernelDefaults: true\n")
    assert proc.found(k3s_arguments=["agent"]).protect_kernel_defaults


def test_k3s_whose_arguments_are_not_known_is_not_understood(proc: Proc) -> None:
    proc.put(7, "k3s", "server", comm="k3s-server")
    proc.file(K3S_DEFAULTS, "protectKernelDefaults: false\n")
    assert "k3s.io/node-args" in (proc.found().problem or "")


def test_k3s_as_kubectl_is_no_kubelet(proc: Proc) -> None:
    proc.put(7, "k3s", "kubectl", "get", "nodes", comm="k3s")
    assert proc.find(k3s_arguments=["server"]) is None


def test_annotation_of_k3s_is_a_list_or_nothing() -> None:
    assert k3s_arguments({"k3s.io/node-args": '["server","--v","2"]'}) == ("server", "--v", "2")
    for text in ("", "{", '{"a": 1}', "7"):
        assert k3s_arguments({"k3s.io/node-args": text}) is None
    assert k3s_arguments({}) is None


# -- impostors


@pytest.mark.parametrize(
    "fields",
    [
        {"cgroup": CONTAINER},
        {"cgroup": "/docker/" + "b" * 64},
        {"cgroup": "/kubepods/burstable/podx"},
        {"pids": "30 1"},
        {"uid": "0\t1000\t1000\t0"},
        {"uid": "1000\t1000\t1000\t1000"},
        {"uid": "100000\t100000\t100000\t100000"},
    ],
)
def test_only_a_root_process_of_the_host_is_believed(proc: Proc, fields: dict[str, str]) -> None:
    proc.put(3, "kubelet", "--protect-kernel-defaults=true", **fields)
    proc.file("/etc/x", BLOCK)
    assert proc.find() is None
    proc.put(700, "kubelet", "--protect-kernel-defaults=false")
    assert (proc.found().pid, proc.found().protect_kernel_defaults) == (700, False)


def test_command_line_of_an_impostor_is_never_read(proc: Proc) -> None:
    """Its owner can keep the reader waiting: here by a FIFO that would block a plain read."""
    folder = proc.put(3, "kubelet", cgroup=CONTAINER)
    (folder / "cmdline").unlink()
    os.mkfifo(folder / "cmdline")
    started = time.monotonic()
    assert proc.find() is None
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("kind", ["fifo", "device", "endless", "link out", "folder"])
def test_config_that_is_no_ordinary_file_is_a_problem_and_never_waited_for(
    proc: Proc, tmp_path: Path, kind: str
) -> None:
    proc.put(7, "kubelet", "--config=/etc/config")
    (proc.root / "etc").mkdir()
    config = proc.root / "etc" / "config"
    if kind == "fifo":
        os.mkfifo(config)
    elif kind == "device":
        config.symlink_to("/dev/zero")
        (proc.root / "dev").mkdir()
        try:
            os.mknod(proc.root / "dev" / "zero", 0o20666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("needs the right to make device files")
    elif kind == "endless":
        with config.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "link out":
        (tmp_path / "outside").write_text(BLOCK)
        config.symlink_to(tmp_path / "outside")
    else:
        config.mkdir()
    started = time.monotonic()
    found = proc.found()
    assert time.monotonic() - started < 2
    assert "/etc/config" in (found.problem or "")
    assert not found.protect_kernel_defaults


# -- over time


def test_restart_is_noticed_by_the_start_time_and_no_kubelet_is_none(proc: Proc) -> None:
    proc.put(3, "containerd", comm="containerd")
    finder = KubeletFinder(proc=proc.folder)
    assert finder.look() is None
    assert proc.find() is None
    folder = proc.put(7, "kubelet")
    finder = KubeletFinder(proc=proc.folder)
    first = finder.look()
    assert first is not None
    (folder / "stat").write_text("7 (kubelet) S " + " ".join(["0"] * 18) + " 5000 0 0\n")
    second = finder.look()
    assert second is not None
    assert (first.start_time, second.start_time) == (4242, 5000)


def test_kubelet_between_two_runs_is_found_as_soon_as_it_is_back(proc: Proc, tmp_path: Path) -> None:
    folder = proc.put(7, "kubelet")
    now = 1000.0
    finder = KubeletFinder(proc=proc.folder, clock=lambda: now)
    assert finder.recent() is None
    assert finder.look() is not None
    folder.rename(tmp_path / "gone")
    assert finder.look() is None
    recent = finder.recent()
    assert recent is not None
    assert recent.pid == 7
    proc.put(8, "kubelet", start=6000)
    back = finder.look()
    assert back is not None
    assert (back.pid, finder.recent()) == (8, back)


def test_kubelet_that_stays_away_is_forgotten(proc: Proc, tmp_path: Path) -> None:
    folder = proc.put(7, "kubelet")
    now = 1000.0
    finder = KubeletFinder(proc=proc.folder, clock=lambda: now)
    finder.look()
    folder.rename(tmp_path / "gone")
    now += RECENT_SECONDS + 1
    finder.look()
    assert finder.recent() is None


def test_search_that_hangs_is_a_problem_and_not_the_end_of_the_agent(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr("oomkeeper.agent.kubelet.finder.SEARCH_SECONDS", 0.05)
    monkeypatch.setattr("oomkeeper.agent.kubelet.finder.find_kubelet", lambda **_: release.wait())
    found = KubeletFinder(proc=proc.folder).look()
    release.set()
    assert found is not None
    assert "no answer within" in (found.problem or "")


# -- on this machine's own /proc


@pytest.mark.skipif(
    os.geteuid() != 0 or not is_host_root_process(os.getpid(), host=HostProcesses(), proc=Path("/proc")),
    reason="needs root in the host's own namespaces and cgroups",
)
def test_real_process_is_found_with_its_real_files(tmp_path: Path) -> None:
    program = tmp_path / "kubelet"
    shutil.copy("/bin/sh", program)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "config.yaml").write_text("protectKernelDefaults: false\n")
    (tmp_path / "conf.d" / "10.conf").write_text("protectKernelDefaults: true\n")
    flags = [f"--config={tmp_path}/config.yaml", f"--config-dir={tmp_path}/conf.d"]
    with subprocess.Popen([program, "-c", "read line", *flags], stdin=subprocess.PIPE) as process:
        try:
            # exec closes the pipe that Popen waits for before it sets the new command line.
            started = Path(f"/proc/{process.pid}/cmdline")
            eventually(lambda: b"--config-dir" in started.read_bytes(), interval_seconds=0.001)
            found = find_kubelet()
        finally:
            process.kill()
    if found is not None and found.pid != process.pid:
        pytest.skip("this machine has a kubelet of its own")
    assert found is not None
    assert (found.protect_kernel_defaults, found.problem) == (True, None)
    assert find_kubelet() is None
