"""kubelet's settings out of its command line and its file, in the forms that people write."""

from pathlib import Path

import pytest

from oomkeeper.agent.kubelet import KubeletFinder, find_kubelet, read_config

BLOCK = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
protectKernelDefaults: true  # as the benchmark wants
singleProcessOOMKill: "false"
evictionHard:
  memory.available: "500Mi"
  nodefs.available: 10%
tracing:
  protectKernelDefaults: false
"""
FLOW = 'evictionHard: {memory.available: "500Mi", nodefs.available: 10%}\nprotectKernelDefaults: true\n'
JSON = (
    '{"evictionHard": {"memory.available": "500Mi", "nodefs.available": "10%"}, '
    '"protectKernelDefaults": true}'
)


@pytest.mark.parametrize("text", [BLOCK, FLOW, JSON], ids=["block", "flow", "json"])
def test_the_same_settings_are_read_from_each_form(text: str) -> None:
    scalars, eviction = read_config(text)
    assert scalars["protectKernelDefaults"].lower() == "true"
    assert eviction == {"memory.available": "500Mi", "nodefs.available": "10%"}


@pytest.mark.parametrize("text", ["", "{", "{]", "\x00\xff", "- a\n- b\n", "evictionHard:\n"])
def test_what_is_no_configuration_says_nothing(text: str) -> None:
    assert read_config(text)[1] == {}


class Proc:
    """A /proc with one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, pid: int, *arguments: str, comm: str = "kubelet", start: int = 4242) -> Path:
        folder = self.folder / str(pid)
        (folder / "root").mkdir(parents=True)
        (folder / "cwd").mkdir()
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cmdline").write_bytes("\0".join(arguments).encode() + b"\0")
        # comm stands in brackets and may hold some itself: proc(5).
        (folder / "stat").write_text(f"{pid} ({comm}) x) S " + " ".join(["0"] * 18) + f" {start} 0 0\n")
        return folder


def test_the_file_is_read_as_kubelet_sees_it_and_a_flag_wins_over_it(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    folder = proc.put(
        7, "kubelet", "--config=/etc/kubelet.yaml", "--protect-kernel-defaults=false", "--v", "2"
    )
    (folder / "root" / "etc").mkdir()
    (folder / "root" / "etc" / "kubelet.yaml").write_text(BLOCK)
    found = find_kubelet(proc=tmp_path)
    assert found is not None
    assert (found.pid, found.start_time, found.config_file) == (7, 4242, "/etc/kubelet.yaml")
    assert found.protect_kernel_defaults is False
    assert found.single_process_oom_kill is False
    assert found.eviction_hard["memory.available"] == "500Mi"


def test_a_restart_is_seen_by_the_start_time_and_no_kubelet_is_none(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    proc.put(3, "containerd", comm="containerd")
    finder = KubeletFinder(proc=tmp_path)
    assert finder.look() is None
    assert find_kubelet(proc=tmp_path) is None
    folder = proc.put(7, "kubelet")
    finder = KubeletFinder(proc=tmp_path)
    first = finder.look()
    assert first is not None
    (folder / "stat").write_text("7 (kubelet) S " + " ".join(["0"] * 18) + " 5000 0 0\n")
    second = finder.look()
    assert second is not None
    assert (first.start_time, second.start_time) == (4242, 5000)


def test_a_kubelet_that_is_between_two_runs_is_seen_as_soon_as_it_is_back(tmp_path: Path) -> None:
    proc = Proc(tmp_path)
    folder = proc.put(7, "kubelet")
    finder = KubeletFinder(proc=tmp_path)
    assert finder.look() is not None
    folder.rename(tmp_path / "gone")
    assert finder.look() is None
    proc.put(8, "kubelet", start=6000)
    back = finder.look()
    assert back is not None
    assert back.pid == 8
