"""The state: whatever order watches and lists come in, the newest wins and what is gone stays gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.kinds import KINDS, NAMESPACE, NODE, POLICY
from oomkeeper.controller.resync import Schedule, resync
from oomkeeper.controller.state import ClusterState


def obj(name: str, *, uid: str | None = None, version: int = 1, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "labels": labels,
        }
    }


class Server:
    """Lists, with something happening in between."""

    def __init__(
        self, nodes: list[dict[str, Any]], *, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        self._nodes = nodes
        self._meanwhile = meanwhile

    async def list(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
        if path == NODE.root:
            self._meanwhile()
            for node in self._nodes:
                yield node


def listed(state: ClusterState, server: Any) -> bool:
    return bool(asyncio.run(resync(server, state)))


def test_an_older_state_of_an_object_never_replaces_a_newer() -> None:
    state = ClusterState()
    assert state.observe(NODE, obj("n", version=5, pool="new"))
    assert not state.observe(NODE, obj("n", version=4, pool="old"))
    assert state.nodes["n"].labels == {"pool": "new"}


def test_a_new_version_that_says_nothing_new_is_no_change_but_is_remembered() -> None:
    state = ClusterState()
    state.observe(NODE, obj("n", version=5))
    assert not state.observe(NODE, obj("n", version=6))
    assert state.nodes["n"].version == 6


def test_another_object_of_the_same_name_replaces_the_first_and_its_late_deletion_is_not_taken_for_it() -> (
    None
):
    state = ClusterState()
    state.observe(NODE, obj("n", uid="old", version=9))
    assert state.observe(NODE, obj("n", uid="new", version=2))
    assert not state.forget(NODE, key="n", uid="old")
    assert state.nodes["n"].uid == "new"


def test_a_list_finds_what_the_watch_missed_both_ways() -> None:
    state = ClusterState()
    state.observe(NODE, obj("gone"))
    assert listed(state, Server([obj("here")]))
    assert state.nodes.keys() == {"here"}
    assert not listed(state, Server([obj("here")]))


def test_what_the_watch_brings_during_a_list_stays() -> None:
    state = ClusterState()
    listed(state, Server([], meanwhile=lambda: state.observe(NODE, obj("fresh"))))
    assert state.nodes.keys() == {"fresh"}


def test_what_the_watch_takes_away_during_a_list_does_not_come_back() -> None:
    state = ClusterState()
    state.observe(NODE, obj("leaving"))
    listed(
        state,
        Server([obj("leaving")], meanwhile=lambda: state.forget(NODE, key="leaving", uid="uid-leaving")),
    )
    assert not state.nodes
    state.observe(NAMESPACE, obj("other"))
    assert state.namespaces.keys() == {"other"}


def test_a_list_that_breaks_off_takes_nothing_away() -> None:
    class Broken(Server):
        async def list(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
            raise APIError(status=500, what=path, message="no")
            yield {}

    state = ClusterState()
    state.observe(NODE, obj("n"))
    with pytest.raises(APIError):
        listed(state, Broken([]))
    assert state.nodes.keys() == {"n"}


def test_lists_are_made_anew_by_the_clock_the_few_and_vital_more_often() -> None:
    schedule = Schedule()
    schedule.listed(KINDS, now=0.0)
    assert schedule.due(now=29.0) == []
    assert POLICY in schedule.due(now=31.0)
    assert NODE not in schedule.due(now=31.0)
    assert NODE in schedule.due(now=301.0)


def test_a_gap_in_a_watch_makes_a_list_due_once_the_relisting_is_over() -> None:
    schedule = Schedule()
    schedule.listed(KINDS, now=0.0)
    for moment in (10.0, 11.0, 12.0):
        schedule.relisting(NODE, now=moment)
    assert schedule.due(now=13.0) == []
    assert schedule.next() == 14.0
    assert schedule.due(now=14.0) == [NODE]
    schedule.listed([NODE], now=14.0)
    assert schedule.due(now=15.0) == []


def test_an_object_that_is_not_there_makes_a_list_due_at_once() -> None:
    schedule = Schedule()
    schedule.listed(KINDS, now=0.0)
    schedule.doubted(POLICY, now=5.0)
    assert schedule.due(now=5.0) == [POLICY]
