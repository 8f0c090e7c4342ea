"""How the kills of a workload began: only what the objects hold."""

from typing import Any

import pytest

from oomkeeper.model.times import format_time
from oomkeeper.reporting.kill_streak import Rollout, Streak, streak_of, streak_sentence
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.record import read

from .report_samples import DAY, HOUR, MIB, NOW, incident, incident_object

SET = "web-7f9c6d5b8"


def streak(*kills: float, history: dict[float, int] | None = None, **values: Any) -> Streak:
    found = streak_of([incident("a", kills=kills, history=history, **values)], now=NOW)
    assert found is not None
    return found


def rollout(created: float, *, revision: str = "42", **limits: dict[str, int | None]) -> Rollout:
    return Rollout(revision, created, f"ReplicaSet {SET}", **limits)


def incident_with(kills: list[dict[str, Any]]) -> OOMIncident:
    made = incident_object("a", kills=(60,))
    made["status"]["kills"] = kills
    return read(OOMIncident, made)


def started(ages: tuple[float, ...], run: float) -> list[dict[str, Any]]:
    return [
        {
            "id": f"boot-{age}",
            "time": format_time(NOW - age),
            "startedAt": format_time(NOW - age - run),
            "pod": f"{SET}-abcde",
            "comm": "java",
        }
        for age in ages
    ]


def test_streak_begins_after_the_last_day_without_a_kill() -> None:
    found = streak(600, 1200, 1800, history={600: 3, 5 * DAY: 7})
    assert (found.since, found.to_the_hour, found.kills) == (NOW - 1800, False, 3)
    assert found.quiet_seconds is not None
    assert 4 * DAY < found.quiet_seconds <= 5 * DAY
    assert found.replica_set == SET


def test_more_kills_than_are_known_exactly_begin_in_an_hour() -> None:
    found = streak(10, 20, history={10: 2, 2.5 * HOUR: 30, 6 * DAY: 1})
    assert (found.since, found.to_the_hour, found.kills) == (NOW - 3 * HOUR, True, 32)
    text = streak_sentence(found, rollout(NOW - 2.9 * HOUR))
    assert text is not None
    assert "since the hour from 2027-01-15 05:00 UTC, after revision 42 was created" in text


def test_kills_of_all_nodes_are_one_streak() -> None:
    found = streak_of([incident("a", kills=(10,)), incident("b", kills=(20,), node="n2")], now=NOW)
    assert found is not None
    assert (found.kills, found.quiet_seconds) == (2, None)


def test_rollout_between_the_quiet_time_and_the_first_kill_is_named() -> None:
    text = streak_sentence(streak(600, 1200, 1800, history={5 * DAY: 7}), rollout(NOW - 1800 - 360))
    assert text == (
        "No kill for 4 days, then 3 since 2027-01-15 07:30 UTC, 6 minutes after revision 42 was created "
        f"(ReplicaSet {SET})."
    )


@pytest.mark.parametrize(
    ("before", "after", "killed_at", "expected"),
    [
        (512 * MIB, 512 * MIB, 512 * MIB, " The memory limit of container app is unchanged: 512 MiB."),
        (
            1024 * MIB,
            512 * MIB,
            512 * MIB,
            " The memory limit of container app changed from 1024 MiB to 512 MiB with revision 42.",
        ),
        # The kernel counts whole pages.
        (10**8, 10**8, 10**8 // 4096 * 4096, " The memory limit of container app is unchanged: 95.4 MiB."),
        # Something else than the template set it.
        (512 * MIB, 512 * MIB, 256 * MIB, ""),
        (None, 512 * MIB, 512 * MIB, ""),
        (512 * MIB, None, 512 * MIB, ""),
        (512 * MIB, 512 * MIB, None, ""),
    ],
)
def test_limit_is_compared_where_both_templates_and_the_kills_show_it(
    before: int | None, after: int | None, killed_at: int | None, expected: str
) -> None:
    found = rollout(NOW - 1800 - 360, limits={"app": after}, earlier_limits={"app": before})
    text = streak_sentence(streak(600, 1200, 1800, history={5 * DAY: 7}, limit=killed_at), found)
    assert text is not None
    assert text.partition(f"(ReplicaSet {SET}).")[2] == expected


def test_limit_of_a_rollout_that_is_not_the_beginning_is_not_told() -> None:
    found = rollout(NOW - 1000, limits={"app": 512 * MIB}, earlier_limits={"app": 512 * MIB})
    text = streak_sentence(streak(600, 1200, 1800, history={5 * DAY: 7}), found)
    assert text is not None
    assert "limit" not in text


@pytest.mark.parametrize("created", [NOW - 1000, NOW - 6 * DAY])
def test_rollout_at_another_time_is_not_blamed(created: float) -> None:
    text = streak_sentence(streak(600, 1200, 1800, history={5 * DAY: 7}), rollout(created))
    assert text == f"No kill for 4 days, then 3 since 2027-01-15 07:30 UTC, in pods of ReplicaSet {SET}."


def test_without_quiet_time_and_rollout_nothing_is_claimed() -> None:
    assert streak_sentence(streak(600, 1200), None) is None
    assert streak_sentence(streak(600, 20 * HOUR, 40 * HOUR), None) is None
    assert streak_sentence(streak(600, 1200, 5 * DAY), None) is None


def test_first_kills_right_after_a_rollout_are_told_without_a_quiet_time() -> None:
    text = streak_sentence(streak(600, 1200), rollout(NOW - 1500, revision=""))
    assert text is not None
    assert text.startswith("No earlier kill is recorded; 2 since 2027-01-15 07:40 UTC, 5 minutes after it")


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ((f"{SET}-abcde", f"{SET}-fghij"), SET),
        ((f"{SET}-abcde", "web-6d5b8c7f9-abcde"), None),
        (("webhook-7f9c6d5b8-abcde",), None),
        (("web-0",), None),
        ((), None),
    ],
)
def test_replica_set_is_that_of_all_pods_of_the_streak(pods: tuple[str, ...], expected: str | None) -> None:
    kills = [{"id": f"b-{pod}", "time": format_time(NOW - 60), "pod": pod} for pod in pods]
    kills = kills or [{"id": "b", "time": format_time(NOW - 60)}]
    found = streak_of([incident_with(kills)], now=NOW)
    assert found is not None
    assert found.replica_set == expected


def test_time_after_each_start_is_told_where_it_is_even() -> None:
    even = streak_of([incident_with(started((600, 1200, 1800), 360))], now=NOW)
    assert even is not None
    assert even.run_seconds == 360
    uneven = started((600, 1200), 360)
    uneven[0]["startedAt"] = format_time(NOW - 600 - 30)
    found = streak_of([incident_with(uneven)], now=NOW)
    assert found is not None
    assert found.run_seconds is None


def test_no_kill_is_no_streak() -> None:
    assert streak_of([], now=NOW) is None
