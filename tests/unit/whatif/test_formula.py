"""oom_badness() of each kernel, by numbers worked out by hand from its source."""

import pytest

from oomkeeper.diagnosis.whatif import rank
from oomkeeper.diagnosis.whatif.formula import formula_of
from oomkeeper.model.kill import Kill
from oomkeeper.model.memory import Counter

from .tables import cgroup, machine, row


def _chosen(kill: Kill) -> str | None:
    chosen = rank(kill).chosen
    return None if chosen is None else chosen.row.comm


def test_points_include_resident_swapped_and_page_table_pages() -> None:
    task = row(10, "a", 100, swap=20, pt=3)
    assert rank(machine(task)).tasks[0].points == 123


def test_oom_score_adj_counts_thousandths_of_the_machine() -> None:
    small, big = row(10, "small", 1, adj=100), row(11, "big", 99_999)
    assert _chosen(machine(small, big)) == "small"
    assert _chosen(machine(small, row(11, "big", 100_002))) == "big"


def test_oom_score_adj_counts_thousandths_of_a_cgroups_limit_and_swap() -> None:
    tasks = row(10, "small", 1, adj=100), row(11, "big", 150)
    assert _chosen(cgroup(*tasks, limit_pages=1000)) == "big"
    roomy = Counter(usage_bytes=0, limit_bytes=1000 * 4096)
    ranking = rank(cgroup(*tasks, limit_pages=1000, swap=roomy))
    assert ranking.domain.exact is False
    assert [task.row.comm for task in ranking.rivals] == ["small"]


@pytest.mark.parametrize(
    ("release", "points"),
    [
        ("2.6.32-754.el6", 100 * 1000 // 10_000 - 30 + 40),
        ("3.10.0", 100 + (40 - 30) * 10),
        ("4.4.0", 100 - 3 + 400),
        ("4.16.0", 100 - 3 + 400),
        ("4.17.0", 500),
        ("6.18.0", 500),
    ],
)
def test_root_bonus_depends_on_the_kernel(release: str, points: int) -> None:
    task = row(10, "a", 100, adj=40, uid=0)
    assert rank(machine(task, release=release, pages=10_000)).tasks[0].points == points


def test_negative_points_count_since_5_9_only() -> None:
    tasks = row(10, "pod", 500, adj=-998), row(11, "pause", 1, adj=-998)
    assert _chosen(cgroup(*tasks, limit_pages=1000, kernel_release="5.9.0")) == "pod"
    assert _chosen(cgroup(*tasks, limit_pages=1000, kernel_release="5.8.0")) == "pause"


def test_first_of_equals_is_chosen_before_5_3_and_the_last_since() -> None:
    tasks = row(10, "first", 5), row(11, "middle", 3), row(12, "last", 5)
    assert _chosen(machine(*tasks, release="5.2.0")) == "first"
    assert _chosen(machine(*tasks, release="5.3.0")) == "last"
    assert [task.row.comm for task in rank(machine(*tasks)).rivals] == ["first"]


def test_init_and_exempt_tasks_are_never_chosen() -> None:
    kill = machine(row(1, "systemd", 900), row(2, "sshd", 800, adj=-1000), row(3, "cat", 1))
    assert _chosen(kill) == "cat"
    assert [task.eligible for task in rank(kill).tasks] == [True, False, False]


def test_unknown_release_uses_the_newest_rules_with_a_caveat() -> None:
    assert not formula_of(None).known
    ranking = rank(machine(row(10, "a", 5), kernel_release=None))
    assert any("does not show the kernel version" in sentence for sentence in ranking.caveats)


def test_different_oom_score_adj_are_not_compared_without_a_domain() -> None:
    kill = cgroup(row(10, "a", 5, adj=1), row(11, "b", 9), limit_pages=1, memory=machine().memory)
    assert rank(kill).chosen is None
    assert not rank(kill).known
