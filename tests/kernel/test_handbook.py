"""An OOM handbook's settings on this machine's own kernel: lasting ones, the task table, who is chosen."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import MIB, Cgroup, Eater, Json, Node, oomkeeper
from tests.waiting import eventually

DUMP = Path("/proc/sys/vm/oom_dump_tasks")
ALLOCATING = Path("/proc/sys/vm/oom_kill_allocating_task")
CAP_SYS_RESOURCE = 24


@pytest.fixture(autouse=True)
def as_found() -> Iterator[None]:
    found = {path: path.read_text() for path in (DUMP, ALLOCATING)}
    yield
    for path, text in found.items():
        if path.read_text() != text:
            path.write_text(text)


def policy(folder: Path, **spec: object) -> Path:
    file = folder / "policy.yaml"
    document = {
        "apiVersion": "oomkeeper.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": "handbook"},
        "spec": spec,
    }
    file.write_text(json.dumps(document))
    return file


def only_kill(node: Node, top: Cgroup) -> Json:
    [kill] = eventually(lambda: node.kills(below=top))
    return kill


def test_persistent_setting_is_applied_at_next_boot(node: Node, tmp_path: Path) -> None:
    """`sysctl -p` of the drop-in is what a boot does with it (systemd-sysctl, procps)."""
    sysctl = shutil.which("sysctl")
    if sysctl is None:
        pytest.skip("no sysctl command here (procps)")
    DUMP.write_text("1")
    node.start("--policy", policy(tmp_path, sysctls={"vm.oom_dump_tasks": 0}, persistence="Persistent"))
    drop_in = node.etc / "sysctl.d" / "99-zzz-oomkeeper.conf"
    eventually(lambda: drop_in.exists() and DUMP.read_text().strip() == "0")
    assert node.stop() == 0
    DUMP.write_text("1")
    subprocess.run([sysctl, "-p", drop_in], check=True, capture_output=True)
    assert DUMP.read_text().strip() == "0"


def test_runtime_setting_is_applied_again_at_next_start(node: Node, tmp_path: Path) -> None:
    DUMP.write_text("1")
    file = policy(tmp_path, sysctls={"vm.oom_dump_tasks": 0})
    node.start("--policy", file)
    eventually(lambda: DUMP.read_text().strip() == "0")
    assert node.stop() == 0
    assert not (node.etc / "sysctl.d").exists()
    DUMP.write_text("1")
    node.start("--policy", file)
    eventually(lambda: DUMP.read_text().strip() == "0")


def test_cause_is_found_without_task_table(
    top: Cgroup, eater: Callable[..., Eater], node: Node, tmp_path: Path
) -> None:
    cgroup = top.child("quiet", limit_bytes=24 * MIB)
    node.start("--policy", policy(tmp_path, sysctls={"vm.oom_dump_tasks": 0}), "--restore")
    eventually(lambda: DUMP.read_text().strip() == "0")
    victim = eater()
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed
    kill = only_kill(node, top)
    assert (kill["cause"], kill["limitBytes"], kill["taskCount"]) == ("CgroupLimit", 24 * MIB, 0)
    assert kill["victims"][0]["pid"] == victim.pid


def test_allocating_task_setting_has_no_effect_at_cgroup_limit(
    top: Cgroup, eater: Callable[..., Eater], node: Node, tmp_path: Path
) -> None:
    cgroup = top.child("asked", limit_bytes=80 * MIB)
    node.start("--policy", policy(tmp_path, sysctls={"vm.oom_kill_allocating_task": 1}), "--restore")
    eventually(lambda: ALLOCATING.read_text().strip() == "1")
    large, asks = eater("large"), eater("asks")
    for one in (large, asks):
        one.do("join", procs=cgroup.procs)
    large.do("eat", bytes=48 * MIB)
    asks.begin("eat", bytes=34 * MIB)
    assert large.killed
    kill = only_kill(node, top)
    assert kill["invoker"]["comm"] == "asks"
    assert [one["comm"] for one in kill["victims"]] == ["large"]
    assert asks.result() is None


def test_missing_capability_for_minus_1000_is_reported(
    eater: Callable[..., Eater], node: Node, tmp_path: Path
) -> None:
    protected = eater("oomk-never")
    rule = {"name": "never", "process": {"comm": "oomk-never"}, "value": -1000}
    file = policy(tmp_path, oomScoreAdjustments=[rule])
    before = score(protected)
    node.start("--policy", file)
    if _has(CAP_SYS_RESOURCE):
        eventually(lambda: score(protected) == -1000)
        assert node.stop() == 0
        done = oomkeeper("node", "--state-dir", node.state, "--etc", node.etc, "--restore")
        assert done.returncode == 0, done.stderr
        assert score(protected) == before
        return
    eventually(lambda: "entry=handbook/never state=Refused reason=NeedsCapSysResource" in node.log_since())
    assert score(protected) == before


def score(process: Eater) -> int:
    return int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())


def _has(capability: int) -> bool:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")
    )
    return bool(int(line.split()[1], 16) >> capability & 1)
