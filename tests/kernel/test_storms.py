"""Many kills in a short time, and an agent killed during them: every kill is counted once, none is lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from oomkeeper.kernel.kmsg import KmsgReader
from tests.kernel.harness import MIB, Cgroup, Eater, Json, Node, pids
from tests.waiting import eventually

KILLS = 70


def test_storm_is_recorded_completely_although_kernel_prints_ten_reports(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    cgroups = [top.child(name, limit_bytes=4 * MIB) for name in ("one", "two")]
    node.start()
    before = KmsgReader()
    made = eater("maker").do("storm", procs=[one.procs for one in cgroups], count=KILLS, bytes=8 * MIB)
    assert len(made) == KILLS
    records = [record for record in before.read_available() if record.kernel]
    before.close()
    spread = [record.usec for record in records if b"Killed process" in record.text]
    assert max(spread) - min(spread) < 5_000_000, "too slow to be a storm: the rate limit starts anew"
    reports = sum(b"oom-kill:constraint" in record.text for record in records)
    assert reports < KILLS, "the kernel printed every report: nothing is shown here"

    found = eventually(lambda: len(node.kills(below=top)) >= KILLS and node.kills(below=top))
    assert sorted(pids(found)) == sorted(made)
    assert len({kill["id"] for kill in found}) == KILLS
    # Those without a report too.
    assert Counter(kill["taskMemcg"] for kill in found) == {one.path: one.oom_kills for one in cgroups}
    headerless = [kill for kill in found if not kill["headerSeen"]]
    assert len(headerless) >= KILLS - reports
    assert all(kill["confidence"] != "High" and kill["uncertain"] for kill in headerless)
    assert {(kill["cause"], kill["limitBytes"]) for kill in found} == {("CgroupLimit", 4 * MIB)}
    node.closed_account()
    assert node.stop() == 0
    printed = [kill["id"] for kill in node.printed if (kill["taskMemcg"] or "").startswith(top.path)]
    assert sorted(printed) == sorted(kill["id"] for kill in found)


def test_kill_without_report_is_attributed_to_the_only_possible_limit(
    top: Cgroup, eater: Callable[..., Eater], node: Node
) -> None:
    other = top.child("other", limit_bytes=4 * MIB)
    parent = top.child("parent", limit_bytes=24 * MIB)
    child = parent.child("child")
    node.start()
    eater("maker").do("storm", procs=[other.procs], count=15, bytes=8 * MIB)
    victim = eater("unreported")
    victim.do("join", procs=child.procs)
    victim.begin("eat", bytes=40 * MIB)
    assert victim.killed

    def found() -> Json:
        return next(kill for kill in node.kills(below=top) if pids([kill]) == [victim.pid])

    kill = eventually(found)
    assert not kill["headerSeen"], "the kernel printed a report: nothing is shown here"
    assert (kill["cause"], kill["level"]) == ("AncestorCgroupLimit", "Ancestor")
    assert (kill["oomMemcg"], kill["taskMemcg"]) == (parent.path, child.path)
    assert kill["limitBytes"] == 24 * MIB
    assert kill["confidence"] == "Medium"
    assert any("inferred" in sentence for sentence in kill["uncertain"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agent_killed_at_random_times_during_a_storm_loses_and_duplicates_nothing(
    top: Cgroup, eater: Callable[..., Eater], node: Node, seed: int
) -> None:
    choose = random.Random(seed)
    cgroup = top.child("storm", limit_bytes=4 * MIB)
    maker = eater("maker")
    node.start()
    made: list[int] = []
    for _ in range(3):
        maker.begin("storm", procs=[cgroup.procs], count=30, bytes=8 * MIB)
        time.sleep(choose.uniform(0.0, 0.4))
        node.kill()
        made += maker.result()
        node.start()
    assert len(made) == 90
    found = eventually(lambda: len(node.kills(below=top)) >= 90 and node.kills(below=top))
    node.closed_account()
    found = node.kills(below=top)
    assert Counter(pids(found)) == Counter(made)
    assert len({kill["id"] for kill in found}) == len(found)
    assert {kill["taskMemcg"] for kill in found} == {cgroup.path}
    assert node.stop() == 0


def test_recreated_cgroup_starts_a_new_count(top: Cgroup, eater: Callable[..., Eater], node: Node) -> None:
    """A service that is started again has the cgroup path of the one before."""
    node.start()
    maker = eater("maker")

    def service_storms(*, until: int) -> list[int]:
        service = top.child("service", limit_bytes=4 * MIB)
        pids_made: list[int] = maker.do("storm", procs=[service.procs], count=20, bytes=8 * MIB)
        eventually(lambda: len(node.kills(below=top)) >= until)
        service.remove()
        return pids_made

    made = [*service_storms(until=20), *service_storms(until=40)]
    found = node.kills(below=top)
    assert sorted(pids(found)) == sorted(made)
    assert {kill["taskMemcg"] for kill in found} == {f"{top.path}/service"}
