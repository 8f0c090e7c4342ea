"""oom_score_adj set, kept and given back: on real processes, in the cgroups of a made-up node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.agent.oomscoreadj import enforcer as module
from oomkeeper.agent.pods import PodTable
from oomkeeper.agent.store import Store
from oomkeeper.kernel.oomscore import CAP_SYS_RESOURCE, has_capability, read_process

from .adjust_harness import FORKS, Clock, Tree, adj, adjuster, child_of, processes, rule, set_adj
from .pod_samples import IDS, pod, running, status, table

SANDBOX = "5" * 64


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "cgroup")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "state")
    yield store
    store.close()


@pytest.fixture
def pods() -> PodTable:
    """One pod with the container `app`."""
    return table(pod(status("app", now=running(), container_id=IDS[0]), labels={"tier": "batch"}))


def test_every_process_of_a_container_is_adjusted_and_restored(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(3) as (first, second, pause):
        set_adj(second.pid, 77)
        before = adj(first.pid)
        tree.container(IDS[0], first.pid)
        tree.put(f"{tree.container(IDS[0], first.pid).relative_to(tree.root)}/inner", second.pid)
        tree.container(SANDBOX, pause.pid)
        keeper = adjuster(tree, store, pods=pods)
        [view] = keeper.reconcile([rule(800)])
        assert (adj(first.pid), adj(second.pid), adj(pause.pid)) == (800, 800, before)
        assert (view.state, view.pods, view.in_force) == ("InSync", 1, 2)
        assert keeper.reconcile([]) == ()
        assert (adj(first.pid), adj(second.pid)) == (before, 77)
        assert store.adjustments() == {}


def test_processes_and_containers_that_start_later_are_adjusted(tree: Tree, store: Store) -> None:
    with processes(2) as (first, late):
        before = adj(late.pid)
        pods = table(pod(status("app", now=running(), container_id=IDS[0])))
        folder = tree.container(IDS[0], first.pid)
        keeper = adjuster(tree, store, pods=pods)
        keeper.reconcile([rule(800)])
        (folder / "cgroup.procs").write_text(f"{first.pid}\n{late.pid}\n")
        keeper.reconcile([rule(800)])
        assert adj(late.pid) == 800
        (folder / "cgroup.procs").write_text(f"{first.pid}\n")
        keeper.reconcile([rule(800)])
        assert adj(late.pid) == before

        tree.container(IDS[1], late.pid)
        pods.put(pod(status("app", now=running(), container_id=IDS[1], last={})))
        keeper.reconcile([rule(800)])
        assert adj(late.pid) == 800


def test_child_born_with_our_value_is_restored_to_its_parents_original(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(1, FORKS) as [shell]:
        set_adj(shell.pid, 33)
        folder = tree.container(IDS[0], shell.pid)
        keeper = adjuster(tree, store, pods=pods)
        keeper.reconcile([rule(800)])
        child = child_of(shell)
        assert adj(child) == 800
        (folder / "cgroup.procs").write_text(f"{shell.pid}\n{child}\n")
        keeper.reconcile([rule(900)])
        grandchild = child_of(shell)
        (folder / "cgroup.procs").write_text(f"{shell.pid}\n{child}\n{grandchild}\n")
        keeper.reconcile([rule(900)])
        assert [adj(pid) for pid in (shell.pid, child, grandchild)] == [900] * 3
        keeper.reconcile([])
        assert [adj(pid) for pid in (shell.pid, child, grandchild)] == [33] * 3


def test_children_born_since_the_last_look_or_without_an_agent_are_restored_too(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(1, FORKS) as [shell]:
        set_adj(shell.pid, 33)
        tree.container(IDS[0], shell.pid)
        adjuster(tree, store, pods=pods).reconcile([rule(800)])
        child, own = child_of(shell), child_of(shell)
        set_adj(own, 600)
        adjuster(tree, store, pods=PodTable()).reconcile([])
        assert [adj(pid) for pid in (shell.pid, child, own)] == [33, 33, 600]


def test_child_that_another_entry_names_is_not_restored_with_its_parent(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(1, FORKS) as [shell]:
        tree.container(IDS[0], shell.pid)
        keeper = adjuster(tree, store, pods=pods)
        keeper.reconcile([rule(800)])
        child = child_of(shell)
        tree.put("/system.slice/web.service", child)
        keeper.reconcile([rule(800, "unit", systemdUnit="web.service")])
        assert adj(child) == 800
        assert adj(shell.pid) != 800


@pytest.mark.parametrize("rules", [[], [rule(900)]])
def test_agent_killed_at_the_write_loses_no_original_value(
    tree: Tree, store: Store, pods: PodTable, monkeypatch: pytest.MonkeyPatch, rules: list
) -> None:
    with processes(2) as (first, second):
        before = adj(first.pid)
        tree.container(IDS[0], first.pid, second.pid)
        adjuster(tree, store, pods=pods).reconcile([rule(800)])

        write = module.write_adj

        def die(process, value, *, proc):
            if process.pid == max(first.pid, second.pid):
                raise KeyboardInterrupt
            return write(process, value, proc=proc)

        # Killed while it changes one value of ours to another, the first written, the second not.
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_adj", die)
            dying = adjuster(tree, store, pods=pods)
            with pytest.raises(KeyboardInterrupt):
                dying.reconcile([rule(900)])
        keeper = adjuster(tree, store, pods=pods)
        keeper.reconcile(rules)
        keeper.reconcile([])
        assert (adj(first.pid), adj(second.pid)) == (before, before)


def test_reused_pid_is_left_alone(tree: Tree, store: Store) -> None:
    with processes(1) as [stranger]:
        set_adj(stranger.pid, 800)
        process = read_process(stranger.pid)
        assert process is not None
        store.put_adjustment(
            pid=stranger.pid, start_time=process.id.start_time - 1, original=5, applied=800, name="p/a"
        )
        adjuster(tree, store).reconcile([])
        assert adj(stranger.pid) == 800
        assert store.adjustments() == {}


def test_notes_of_an_earlier_boot_are_dropped(tree: Tree, store: Store, pods: PodTable) -> None:
    with processes(1) as [one]:
        tree.container(IDS[0], one.pid)
        adjuster(tree, store, pods=pods).reconcile([rule(800)])
        adjuster(tree, store, pods=pods, boot_id="the-next").reconcile([])
        assert adj(one.pid) == 800


def test_first_of_two_entries_decides_and_the_second_names_it(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(1) as [one]:
        before = adj(one.pid)
        tree.container(IDS[0], one.pid)
        keeper = adjuster(tree, store, pods=pods)
        high, low, same = rule(800, "high"), rule(500, "low", "q"), rule(800, "same", "q")
        views = keeper.reconcile([high, low, same])
        assert adj(one.pid) == 800
        assert [(view.in_force, view.overridden or 0, view.overridden_by) for view in views] == [
            (1, 0, None), (0, 1, "p/high"), (1, 0, None),
        ]  # fmt: skip
        # With the winner gone the process goes to the loser, and at last back to what it was.
        keeper.reconcile([low])
        assert adj(one.pid) == 500
        keeper.reconcile([])
        assert adj(one.pid) == before


def test_audit_changes_nothing_and_counts_differing_processes(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(2) as (first, second):
        set_adj(second.pid, 800)
        before = adj(first.pid)
        tree.container(IDS[0], first.pid, second.pid)
        keeper = adjuster(tree, store, pods=pods)
        [view] = keeper.reconcile([rule(800, mode="Audit")])
        assert (view.state, view.in_force, view.differing) == ("Audited", 1, 1)
        assert adj(first.pid) == before
        keeper.reconcile([rule(800)])
        assert adj(first.pid) == 800
        keeper.reconcile([rule(800, mode="Audit")])
        assert adj(first.pid) == before


def test_value_with_on_release_keep_stays_after_the_policy(tree: Tree, store: Store, pods: PodTable) -> None:
    with processes(1) as [one]:
        before = adj(one.pid)
        tree.container(IDS[0], one.pid)
        adjuster(tree, store, pods=pods).reconcile([rule(800, onRelease="Keep")])
        adjuster(tree, store, pods=pods).reconcile([])
        assert adj(one.pid) == 800
        assert store.adjustments() == {}

        set_adj(one.pid, before)
        adjuster(tree, store, pods=pods).reconcile([rule(800, onRelease="Keep")])
        adjuster(tree, store).restore()
        assert adj(one.pid) == before


def test_nothing_is_restored_while_pods_or_namespace_labels_are_unknown(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    labels: dict[str, dict[str, str]] = {"shop": {"team": "a"}}
    team = rule(800, namespaceSelector={"matchLabels": {"team": "a"}})
    below = rule(500, "below")
    with processes(1) as [one]:
        before = adj(one.pid)
        tree.container(IDS[0], one.pid)
        adjuster(tree, store, pods=pods, namespaces=labels.get).reconcile([team, below])
        assert adj(one.pid) == 800

        [view, _] = adjuster(tree, store, pods=PodTable()).reconcile([team, below])
        assert (view.state, view.reason, adj(one.pid)) == ("Pending", "PodsUnknown", 800)
        [view, _] = adjuster(tree, store, pods=pods).reconcile([team, below])
        assert (view.state, view.reason, adj(one.pid)) == ("Pending", "NamespaceUnknown", 800)
        assert "shop" in (view.message or "")

        labels["shop"] = {"team": "b"}
        adjuster(tree, store, pods=pods, namespaces=labels.get).reconcile([team, below])
        assert adj(one.pid) == 500
        adjuster(tree, store, pods=PodTable()).reconcile([])
        assert adj(one.pid) == before


def test_value_that_another_writer_has_set_since_is_not_restored(
    tree: Tree, store: Store, pods: PodTable
) -> None:
    with processes(1) as [one]:
        tree.container(IDS[0], one.pid)
        keeper = adjuster(tree, store, pods=pods)
        keeper.reconcile([rule(800)])
        set_adj(one.pid, 123)
        keeper.reconcile([])
        assert adj(one.pid) == 123


def test_enforcement_pauses_during_a_drift_fight(tree: Tree, store: Store, pods: PodTable) -> None:
    clock = Clock()
    with processes(1) as [one]:
        tree.container(IDS[0], one.pid)
        keeper = adjuster(tree, store, pods=pods, clock=clock)
        keeper.reconcile([rule(800)])
        for _ in range(6):
            set_adj(one.pid, 600)
            [view] = keeper.reconcile([rule(800)])
            assert (view.state, adj(one.pid)) == ("InSync", 800)
        set_adj(one.pid, 600)
        [view] = keeper.reconcile([rule(800)])
        assert (view.state, view.reason, view.failed) == ("Drifted", "FightingForeignWriter", 1)
        assert adj(one.pid) == 600
        clock.now += 601
        [view] = keeper.reconcile([rule(800)])
        assert (view.state, adj(one.pid)) == ("InSync", 800)


@pytest.mark.skipif(has_capability(CAP_SYS_RESOURCE), reason="this process may write any value")
def test_value_rejected_by_the_kernel_is_reported_and_retried_later(
    tree: Tree, store: Store, pods: PodTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, tries = Clock(), []
    with processes(2) as (first, second):
        set_adj(second.pid, 77)
        before = adj(first.pid)
        tree.container(IDS[0], first.pid, second.pid)
        keeper = adjuster(tree, store, pods=pods, clock=clock)
        write = module.write_adj

        def counted(process, value, *, proc):
            tries.append(value)
            return write(process, value, proc=proc)

        monkeypatch.setattr(module, "write_adj", counted)
        views = [keeper.reconcile([rule(-900)])[0] for _ in range(5)]
        assert {(view.state, view.reason, view.failed) for view in views} == {
            ("Refused", "NeedsCapSysResource", 2)
        }
        assert "CAP_SYS_RESOURCE" in (views[0].message or "")
        assert tries == [-900] * 2
        assert store.adjustments() == {}
        clock.now += 61
        keeper.reconcile([rule(-900)])
        assert tries == [-900] * 4
        # A value that is allowed is not held up by it.
        [view] = keeper.reconcile([rule(300)])
        assert (view.state, adj(first.pid), adj(second.pid)) == ("InSync", 300, 300)
        keeper.reconcile([])
        assert (adj(first.pid), adj(second.pid)) == (before, 77)


def test_changes_of_counts_alone_are_coalesced(tree: Tree, store: Store, pods: PodTable) -> None:
    clock = Clock()
    with processes(3) as many:
        pids = [one.pid for one in many]
        tree.container(IDS[0], pids[0])
        keeper = adjuster(tree, store, pods=pods, clock=clock)
        assert keeper.reconcile([rule(800)])[0].in_force == 1
        tree.container(IDS[0], *pids)
        assert keeper.reconcile([rule(800)])[0].in_force == 1
        assert [adj(pid) for pid in pids] == [800] * 3
        clock.now += 301
        assert keeper.reconcile([rule(800)])[0].in_force == 3
        tree.container(IDS[0])
        assert keeper.reconcile([rule(800)])[0].in_force == 0
