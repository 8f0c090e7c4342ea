"""Plans on a node: what is answered is what happens later, and nothing is changed by the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oomkeeper.agent.desired import Desired
from oomkeeper.agent.kubelet import KubeletFacts
from oomkeeper.agent.messages import DesiredChanged, PlanAsked
from oomkeeper.agent.plan.adjustments import plan_adjustments
from oomkeeper.agent.plan.rehearsal import rehearse
from oomkeeper.agent.plan.request import MAX_BYTES, PlanRequest, parse_request, request_text
from oomkeeper.agent.plan.victims import TOP, victims
from oomkeeper.agent.store import Store
from oomkeeper.kernel.oomrank import badness_bytes, oom_score, ranked_processes, total_bytes
from oomkeeper.model.names import PLAN_ANNOTATION
from oomkeeper.model.times import format_time
from oomkeeper.resources.oomnode import DesiredSysctl, NodePlan, PlannedSysctl

from .adjust_harness import Tree, adj, adjuster, processes, rule, set_adj
from .loop_harness import LoopHarness
from .test_sysctl_enforcer import Host

SWAP, PANIC, PANIC_ON_OOM = "vm.swappiness", "kernel.panic", "vm.panic_on_oom"


def entry(name: str, value: int, policy: str = "p", **more: Any) -> DesiredSysctl:
    return DesiredSysctl(name=name, value=value, policy=policy, **more)


def rehearsed(host: Host, *wanted: DesiredSysctl) -> dict[str, PlannedSysctl]:
    found = rehearse(
        Desired(sysctls=wanted),
        store=host.store,
        sysctls=host.sysctls,
        boot_id=host.boot,
        memory=lambda: host.memory,
        etc=host.etc,
        kubelet=host.kubelet,
        kubelet_expected=False,
        clock=lambda: host.now,
        wall=lambda: host.wall,
    )
    return {one.name: one for one in found}


ACKS = {"acknowledge": ("NodePanic", "KubeletConflict")}
PROTECTING = KubeletFacts(pid=7, start_time=1, protect_kernel_defaults=True)


@pytest.mark.parametrize(
    ("kubelet", "wanted"),
    [
        (None, (entry(SWAP, 10),)),
        (None, (entry(SWAP, 60),)),
        (None, (entry(SWAP, 10, mode="Audit"),)),
        (None, (entry(PANIC_ON_OOM, 1),)),
        (None, (entry(PANIC_ON_OOM, 1, **ACKS), entry(PANIC, 30, **ACKS))),
        (None, (entry(PANIC_ON_OOM, 1, **ACKS), entry(SWAP, 1))),
        (PROTECTING, (entry(PANIC_ON_OOM, 1, **ACKS), entry(SWAP, 1))),
        (None, (entry("vm.min_free_kbytes", 1 << 22),)),
        (None, (entry("vm.overcommit_memory", 2, **ACKS),)),
        (None, (entry(SWAP, 10, persistence="Persistent"),)),
        (None, ()),
    ],
)
def test_rehearsal_is_what_happens_later_and_writes_nothing(
    tmp_path: Path, kubelet: KubeletFacts | None, wanted: tuple[DesiredSysctl, ...]
) -> None:
    host = Host(tmp_path)
    for key, value in ((PANIC_ON_OOM, 0), ("vm.min_free_kbytes", 67584), ("vm.overcommit_ratio", 50)):
        host.put(key, value)
    host.pass_(entry(SWAP, 45, "earlier"), entry(PANIC, 20, "earlier", **ACKS))
    host.kubelet = kubelet
    host.sysctls.written.clear()
    notes, files = host.store.sysctls(), sorted(host.etc.rglob("*"))
    planned = rehearsed(host, *wanted)
    assert host.sysctls.written == []
    assert (host.store.sysctls(), sorted(host.etc.rglob("*"))) == (notes, files)
    before = {name: host.sysctls.read(name) for name, one in planned.items() if one.before is not None}
    assert before == {name: one.before for name, one in planned.items() if one.before is not None}

    statuses = {one.name: one for one in host.pass_(*wanted).statuses}
    for name, one in planned.items():
        if one.after is not None:
            assert host.sysctls.read(name) == one.after, name
        later = statuses.get(name)
        assert (one.state, one.reason) == (later.state if later else None, later.reason if later else None)
    assert planned.keys() >= statuses.keys()


def test_rehearsal_without_a_state_takes_the_present_values_for_the_originals(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.store.close()
    found = rehearse(
        Desired(sysctls=(entry(SWAP, 10),)),
        store=None,
        sysctls=host.sysctls,
        boot_id="b",
        memory=lambda: host.memory,
        etc=host.etc,
        kubelet=None,
        kubelet_expected=False,
        clock=lambda: 1.0,
        wall=lambda: 1.0,
    )
    assert [(one.name, one.before, one.after, one.state) for one in found] == [(SWAP, 60, 10, "InSync")]


def test_adjustments_are_those_of_the_enforcer(tmp_path: Path) -> None:
    tree, store = Tree(tmp_path / "cg"), Store.open(tmp_path / "state")
    with processes(3) as running:
        one, two, three = (process.pid for process in running)
        present = adj(one)
        for pid in (one, two, three):
            set_adj(pid, 100)
        tree.put("/system.slice/a.service", one, two)
        tree.put("/system.slice/b.service", three)
        enforcer = adjuster(tree, store)
        enforcer.reconcile([rule(300, "old", systemdUnit="b.service")])
        assert adj(three) == 300
        entries = [
            rule(500, "first", systemdUnit="a.service"),
            rule(600, "second", systemdUnit="a.service"),
            rule(700, "none", systemdUnit="absent.service"),
        ]
        planned = plan_adjustments(
            entries,
            enforcer._targets.find(entries, host=True),
            held=store.adjustments(),
            kept=(),
            proc=Path("/proc"),
        )
        assert [(e.name, e.selected, e.changing, e.overridden, e.state) for e in planned.entries] == [
            ("first", 2, 2, 0, "InSync"),
            ("second", 2, 0, 2, "InSync"),
            ("none", 0, 0, 0, "InSync"),
        ]
        assert planned.entries[2].reason == "NoSuchUnit"
        assert planned.changes == {one: 500, two: 500, three: 100}
        assert planned.restored == 1
        assert {adj(one), adj(two), adj(three)} == {100, 300}, "nothing was changed"
        enforcer.reconcile(entries)
        assert planned.changes == {pid: adj(pid) for pid in (one, two, three)}
        kept = plan_adjustments([], [], held=store.adjustments(), kept=("p/first",), proc=Path("/proc"))
        assert kept.changes == {}
        for pid in (one, two, three):
            set_adj(pid, max(present, 0))


def test_scores_are_the_kernels() -> None:
    """Against /proc/PID/oom_score of this kernel, of processes that hardly change."""
    proc = Path("/proc")
    release = tuple(map(int, Path("/proc/sys/kernel/osrelease").read_text().split(".")[:2]))
    total = total_bytes(proc=proc)
    with processes(2) as running:
        pids = [process.pid for process in running]
        set_adj(pids[0], 500)
        found = {one.pid: one for one in ranked_processes(proc=proc) if one.pid in pids}
        assert found.keys() == set(pids)
        for pid, one in found.items():
            badness = badness_bytes(one.memory_bytes, one.adj, total=total)
            kernel = int(Path(f"/proc/{pid}/oom_score").read_text())
            ours = oom_score(badness, total=total, release=(release[0], release[1]))
            assert abs(ours - kernel) <= 1


def test_victims_are_the_first_ten_of_both_orders(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1048576 kB\nSwapTotal: 0 kB\n")
    for pid in range(1, 41):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "status").write_text(f"Name:\tx\nVmRSS:\t{pid * 100} kB\nVmPTE:\t4 kB\nVmSwap:\t0 kB\n")
        (folder / "oom_score_adj").write_text("-1000\n" if pid == 40 else "0\n")
        (folder / "comm").write_bytes(b"evil\x1b[31m\n")
    (tmp_path / "3" / "status").write_text("Name:\tkthread\n")
    found = victims({5: 900, 39: -1000}, proc=tmp_path, release="6.1.0", where=lambda pid: f"unit-{pid}")
    ranked = {one.pid: (one.rank_before, one.rank_after) for one in found}
    assert ranked[39] == (1, None)
    assert ranked[5] == (None, 1)
    assert ranked[38] == (2, 2)
    assert 40 not in ranked
    assert 1 not in ranked
    assert sum(one.rank_before is not None for one in found) == TOP
    assert [one.rank_after for one in found if one.rank_after] == list(range(1, TOP + 1))
    assert {one.comm for one in found} == {"evil\\x1b[31m"}
    five = next(one for one in found if one.pid == 5)
    assert (five.score_before, five.score_after, five.adj_after) == (666, 1266, 900)


WALL = 1_800_000_000.0


def text(id: str = "plan-1", *, seconds: float = 60, sysctls: Any = ()) -> str:
    expires = format_time(WALL + seconds)
    return json.dumps({"id": id, "expires": expires, "spec": {"sysctls": list(sysctls)}})


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "null",
        "[]",
        "{",
        "{}",
        '{"id": 7, "expires": "2027-01-15T08:00:00Z"}',
        '{"id": "", "expires": "2027-01-15T08:00:00Z"}',
        '{"id": "a\\u001b", "expires": "2027-01-15T08:00:00Z"}',
        json.dumps({"id": "x" * 65, "expires": "2027-01-15T08:00:00Z"}),
        '{"id": "a", "expires": "soon"}',
        "[" * 100_000,
        json.dumps({"id": "a", "expires": "2027-01-15T08:00:00Z", "spec": {"x": "y" * MAX_BYTES}}),
    ],
)
def test_what_is_no_request_is_ignored(bad: str) -> None:
    assert parse_request(bad) is None


def test_bad_entries_of_a_request_are_named() -> None:
    request = parse_request(
        text(sysctls=[{"name": "vm.swappiness", "value": 10, "policy": "p"}, {"name": "x"}])
    )
    assert request is not None
    assert [one.name for one in request.desired.sysctls] == [SWAP]
    assert len(request.desired.problems) == 1
    assert request_text({"metadata": {"annotations": {PLAN_ANNOTATION: "t"}}}) == "t"
    for odd in (
        {},
        {"metadata": None},
        {"metadata": {"annotations": []}},
        {"metadata": {"annotations": {PLAN_ANNOTATION: 7}}},
    ):
        assert request_text(odd) is None


def ask(harness: LoopHarness, request: PlanRequest | None) -> NodePlan | None:
    harness.loop.post(PlanAsked(request))
    harness.pass_seconds(2)
    return harness.view.plan


def request(id: str = "plan-1", *, seconds: float = 60) -> PlanRequest:
    wanted = Desired(sysctls=(entry(SWAP, 10),))
    return PlanRequest(id=id, expires=WALL + seconds, desired=wanted)


def test_loop_answers_until_the_request_expires(tmp_path: Path) -> None:
    harness = LoopHarness(tmp_path)
    harness.loop.post(DesiredChanged(Desired(sysctls=(entry(SWAP, 30, "now"),))))
    plan = ask(harness, request())
    assert plan is not None
    assert plan.id == "plan-1"
    [swap] = plan.sysctls
    assert (swap.before, swap.after, swap.policy) == (30, 10, "p")
    assert harness.sysctl(SWAP) == 30
    harness.pass_seconds(50)
    assert harness.view.plan is plan
    harness.pass_seconds(20)
    assert harness.view.plan is None


def test_loop_drops_the_answer_with_its_request_and_answers_the_next(tmp_path: Path) -> None:
    harness = LoopHarness(tmp_path)
    harness.loop.post(DesiredChanged(Desired()))
    first = ask(harness, request("one"))
    assert ask(harness, request("one")) is first, "answered once"
    second = ask(harness, request("two"))
    assert second is not None
    assert second.id == "two"
    assert ask(harness, None) is None
    assert ask(harness, request("late", seconds=-1)) is None, "it has expired"


def test_answer_lives_ten_minutes_at_most(tmp_path: Path) -> None:
    harness = LoopHarness(tmp_path)
    harness.loop.post(DesiredChanged(Desired()))
    assert ask(harness, request(seconds=10**6)) is not None
    harness.pass_seconds(590, step=10)
    assert harness.view.plan is not None
    harness.pass_seconds(20, step=5)
    assert harness.view.plan is None
