"""What the counters of an interval prove, and what they leave open."""

import pytest

from oomkeeper.agent.kill_intervals import Interval, cgroup_of_the_rest


@pytest.mark.parametrize(
    ("kills", "moved", "known", "expected"),
    [
        (1, {"a": 1}, [], "a"),
        (3, {"a": 3}, [], "a"),
        (3, {"a": 2, "b": 1}, ["b"], "a"),
        (3, {"a": 2, "b": 1}, ["a", "b"], "a"),
        # One kill is known to be where no counter shows it.
        (2, {"a": 1}, [None], "a"),
        (2, {"a": 1}, ["gone"], "a"),
        # Two cgroups: which kill was whose is open.
        (2, {"a": 1, "b": 1}, [], None),
        # One kill was in a cgroup that is gone: which one is open.
        (2, {"a": 1}, [], None),
        (1, {}, [], None),
        # Nothing is unknown.
        (1, {"a": 1}, ["a"], None),
        # The figures contradict each other.
        (1, {"a": 2}, [], None),
        (2, {"a": 1, "b": 1}, ["b", "b"], None),
        (1, {"a": 1}, [None, None], None),
        (3, {"a": 3, "b": 0}, ["b"], None),
    ],
)
def test_only_proof_names_a_cgroup(
    kills: int, moved: dict[str, int], known: list[str | None], expected: str | None
) -> None:
    assert cgroup_of_the_rest(Interval(kills, moved), known) == expected
