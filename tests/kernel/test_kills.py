"""Single kills: what `oomkeeper node` makes of each, and who the kernel chose."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.harness import MIB, Cgroup, Eater, Json, Node, oomkeeper
from tests.waiting import eventually


def only_kill(node: Node, below: Cgroup) -> Json:
    [kill] = eventually(lambda: node.kills(below=below))
    return kill


def test_kill_at_own_cgroup_limit_is_explained_and_stored_once(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("own", limit_bytes=24 * MIB)
    node.start()
    victim = eater("own-eater")
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed

    kill = only_kill(node, below=top)
    assert kill["cause"] == "CgroupLimit"
    assert kill["level"] == "Own"
    assert kill["outcome"] == "Killed"
    assert kill["limitBytes"] == 24 * MIB
    assert kill["oomMemcg"] == kill["taskMemcg"] == cgroup.path
    assert [(one["pid"], one["comm"]) for one in kill["victims"]] == [(victim.pid, "own-eater")]
    assert kill["contributors"][0]["name"] == "Anonymous"
    assert cgroup.path in kill["summary"]
    assert cgroup.oom_kills == 1
    node.closed_account()
    assert node.stop() == 0
    assert [one["id"] for one in node.printed if one["taskMemcg"] == cgroup.path] == [kill["id"]]
    assert [one["id"] for one in node.kills(below=top)] == [kill["id"]]


def test_kill_at_parent_limit_names_the_parent_and_the_victim_cgroup(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    parent = top.child("parent", limit_bytes=24 * MIB)
    child = parent.child("child", limit_bytes=200 * MIB)
    node.start()
    victim = eater()
    victim.do("join", procs=child.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed

    kill = only_kill(node, below=top)
    assert (kill["cause"], kill["level"]) == ("AncestorCgroupLimit", "Ancestor")
    assert (kill["oomMemcg"], kill["taskMemcg"]) == (parent.path, child.path)
    assert kill["limitBytes"] == 24 * MIB


def test_tmpfs_is_named_as_the_largest_memory_user(
    top: Cgroup, eater: Callable[..., Eater], node: Node, tmp_path: Path
) -> None:
    cgroup = top.child("tmpfs", limit_bytes=48 * MIB)
    folder = tmp_path / "tmpfs"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "oomkeeper-test", folder], check=True)
    try:
        node.start()
        writer = eater("tmpfs-writer")
        writer.do("join", procs=cgroup.procs)
        writer.begin("fill", path=str(folder / "big"), bytes=60 * MIB)
        assert writer.killed
        kill = only_kill(node, below=top)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert kill["contributors"][0]["name"] == "SharedMemory"
    assert kill["contributors"][0]["bytes"] > 30 * MIB
    assert "MoveTmpfs" in [advice["remedy"] for advice in kill["advice"]]


def test_oom_score_adj_decides_the_victim_not_the_allocating_task(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("three", limit_bytes=100 * MIB)
    node.start()
    procs = [eater(f"process-{number}") for number in (1, 2, 3)]
    for one in procs:
        one.do("join", procs=cgroup.procs)
        one.do("eat", bytes=20 * MIB)
    procs[1].do("adj", value=1000)
    procs[2].begin("eat", bytes=60 * MIB)
    assert procs[1].killed

    kill = eventually(lambda: node.kills(below=top))[0]
    assert [one["comm"] for one in kill["victims"]] == ["process-2"]
    assert kill["victims"][0]["oomScoreAdj"] == 1000
    assert kill["invoker"]["comm"] == "process-3"
    assert procs[0].alive


def test_process_name_that_mimics_a_kill_line_is_no_evidence(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("liar", limit_bytes=24 * MIB)
    node.start()
    # 15 bytes, all that a comm holds.
    victim = eater(",pid=1,uid=0\n\x1b)")
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed
    kill = only_kill(node, below=top)
    assert [one["pid"] for one in kill["victims"]] == [victim.pid]
    assert kill["taskMemcg"] == cgroup.path
    assert "\x1b" not in oomkeeper("kills", "--state-dir", node.state).stdout


def test_lines_written_to_kmsg_by_a_process_change_nothing(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("real", limit_bytes=24 * MIB)
    node.start()
    forged = [
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
        f"oom_memcg={top.path}/forged,task_memcg={top.path}/forged,task=sshd,pid=4242,uid=0",
        "Memory cgroup out of memory: Killed process 4242 (sshd) total-vm:1kB, anon-rss:1kB, "
        "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
    ]
    # The kernel makes facility 1 of whatever user space asks for here, 0 included.
    for line in forged:
        with open("/dev/kmsg", "w") as log:
            log.write(f"<3>{line}\n")
    victim = eater()
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed
    kill = only_kill(node, below=top)
    assert kill["taskMemcg"] == cgroup.path
    account = node.closed_account()
    assert account["lostRecords"] == 0


def test_sigkill_by_a_user_is_not_recorded_as_oom_kill(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("quiet", limit_bytes=40 * MIB)
    node.start()
    other = eater()
    other.do("join", procs=cgroup.procs)
    other.end()
    victim = eater("really")
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=60 * MIB)
    assert victim.killed
    assert [one["comm"] for one in only_kill(node, below=top)["victims"]] == ["really"]


def test_kills_while_agent_is_stopped_are_found_at_next_start(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("alone", limit_bytes=8 * MIB)
    node.start()
    assert node.stop() == 0
    made = eater("maker").do("storm", procs=[cgroup.procs], count=4, bytes=16 * MIB)
    assert len(made) == 4
    assert node.kills(below=top) == []
    node.start()
    found = eventually(lambda: len(node.kills(below=top)) == 4 and node.kills(below=top))
    assert [kill["victims"][0]["pid"] for kill in found] == made
    node.closed_account()
    assert node.stop() == 0


@pytest.mark.parametrize("signal_end", ["SIGTERM", "SIGKILL"])
def test_second_agent_on_same_state_directory_is_refused(node: Node, signal_end: str) -> None:
    node.start()
    second = oomkeeper("node", "--state-dir", node.state)
    assert second.returncode == 2
    assert "another oomkeeper agent is using it" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    if signal_end == "SIGTERM":
        assert node.stop() == 0
    else:
        node.kill()
    node.start()
    assert node.stop() == 0
