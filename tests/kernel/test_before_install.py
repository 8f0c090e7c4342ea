"""Kills that the kernel's ring buffer holds when `oomkeeper node` first starts: listed once, marked, and no
part of the account."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from oomkeeper.agent.clock import parse_rfc3339
from tests.kernel.harness import MIB, Cgroup, Eater, Json, Node, oomkeeper, pids
from tests.waiting import eventually


def make_kill(cgroup: Cgroup, eater: Callable[..., Eater]) -> int:
    victim = eater("early")
    victim.do("join", procs=cgroup.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed
    return victim.pid


def imported(node: Node) -> bool:
    return "kills before install recorded" in node.log_since()


def counted(node: Node, below: Cgroup) -> list[Json]:
    """Stored kills below a cgroup; each one once, and as many as their incidents count."""
    found = node.kills(below=below)
    assert len({kill["id"] for kill in found}) == len(found)
    return found


def test_kill_before_the_first_start_is_listed_and_marked_once(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("early", limit_bytes=24 * MIB)
    early = [make_kill(cgroup, eater) for _ in range(2)]
    started = time.time()
    node.start()
    eventually(lambda: imported(node))
    assert pids(counted(node, top)) == early
    later = make_kill(cgroup, eater)
    eventually(lambda: pids(counted(node, top)) == [*early, later])

    first, _, last = node.kills(below=top)
    assert [kill["beforeInstall"] for kill in node.kills(below=top)] == [True, True, False]
    assert (first["cause"], first["limitBytes"], first["complete"]) == ("CgroupLimit", 24 * MIB, True)
    assert started - 60 < _seconds(first) < started < _seconds(last)
    account = node.closed_account()
    assert account["beforeInstall"] >= 2
    text = oomkeeper(
        "kills", "--state-dir", node.state, "--limit", str(account["beforeInstall"] + 100)
    ).stdout
    assert text.count("(before install)") == account["beforeInstall"]
    assert f"found in the kernel log: {account['beforeInstall']}" in _status_text(node)

    node.kill()
    node.start()
    assert node.stop() == 0
    assert pids(counted(node, top)) == [*early, later]
    assert node.status()["account"]["beforeInstall"] == account["beforeInstall"]
    assert not set(pids(node.printed)) & set(early)
    assert node.log_since().count("before this first start recorded") == 1


def test_sigkill_during_the_first_start_neither_loses_nor_doubles_a_kill(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroup = top.child("early", limit_bytes=4 * MIB)
    early = eater("maker").do("storm", procs=[cgroup.procs], count=60, bytes=8 * MIB)
    choose = random.Random(5)
    for _ in range(5):
        node.start()
        time.sleep(choose.uniform(0.0, 0.08))
        node.kill()
        found = [kill for kill in node.all_kills() if set(pids([kill])) & set(early)]
        assert len(pids(found)) == len(set(pids(found)))
    node.start()
    eventually(lambda: imported(node))
    found = [kill for kill in node.all_kills() if set(pids([kill])) & set(early) and kill["beforeInstall"]]
    assert sorted(pids(found)) == sorted(early)
    # Without a report there is no proof of the cgroup any more.
    assert {kill["taskMemcg"] for kill in found} <= {cgroup.path, None}
    account = node.closed_account()
    assert account["beforeInstall"] == sum(kill["beforeInstall"] for kill in node.all_kills())
    assert node.stop() == 0


def _seconds(kill: Json) -> float:
    return parse_rfc3339(kill["time"])


def _status_text(node: Node) -> str:
    return oomkeeper("status", "--state-dir", node.state).stdout
