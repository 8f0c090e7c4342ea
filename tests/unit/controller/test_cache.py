"""The cache: whatever order watches and lists come in, the newest wins and what is gone stays gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.cache import ClusterCache
from oomkeeper.controller.kinds import KINDS, NAMESPACE, NODE, POLICY
from oomkeeper.controller.relist import RelistSchedule, relist


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


def listed(cache: ClusterCache, server: Any) -> bool:
    """List, and return whether anything changed."""
    changes: list[object] = []
    asyncio.run(relist(server, cache, changed=lambda _kind, change: changes.append(change)))
    return bool(changes)


def test_older_state_never_replaces_newer() -> None:
    cache = ClusterCache()
    assert cache.store(NODE, obj("n", version=5, pool="new"))
    assert not cache.store(NODE, obj("n", version=4, pool="old"))
    assert cache.nodes["n"].labels == {"pool": "new"}


def test_new_version_without_relevant_change_is_stored_but_is_no_change() -> None:
    cache = ClusterCache()
    cache.store(NODE, obj("n", version=5))
    assert not cache.store(NODE, obj("n", version=6))
    assert cache.nodes["n"].version == 6


def test_late_deletion_of_an_earlier_object_keeps_its_successor() -> None:
    cache = ClusterCache()
    cache.store(NODE, obj("n", uid="old", version=9))
    assert cache.store(NODE, obj("n", uid="new", version=2))
    assert not cache.remove(NODE, key="n", uid="old")
    assert cache.nodes["n"].uid == "new"


def test_list_finds_missed_creations_and_deletions() -> None:
    cache = ClusterCache()
    cache.store(NODE, obj("gone"))
    assert listed(cache, Server([obj("here")]))
    assert cache.nodes.keys() == {"here"}
    assert not listed(cache, Server([obj("here")]))


def test_object_created_during_a_list_stays() -> None:
    cache = ClusterCache()
    listed(cache, Server([], meanwhile=lambda: cache.store(NODE, obj("fresh"))))
    assert cache.nodes.keys() == {"fresh"}


def test_object_deleted_during_a_list_does_not_return() -> None:
    cache = ClusterCache()
    cache.store(NODE, obj("leaving"))
    listed(
        cache,
        Server([obj("leaving")], meanwhile=lambda: cache.remove(NODE, key="leaving", uid="uid-leaving")),
    )
    assert not cache.nodes
    cache.store(NAMESPACE, obj("other"))
    assert cache.namespaces.keys() == {"other"}


def test_failed_list_removes_nothing() -> None:
    class Broken(Server):
        async def list(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
            raise APIError(status=500, what=path, message="no")
            yield {}

    cache = ClusterCache()
    cache.store(NODE, obj("n"))
    with pytest.raises(APIError):
        listed(cache, Broken([]))
    assert cache.nodes.keys() == {"n"}


def test_policies_are_relisted_more_often_than_nodes() -> None:
    schedule = RelistSchedule()
    schedule.listed(KINDS, now=0.0)
    assert schedule.due(now=29.0) == []
    assert POLICY in schedule.due(now=31.0)
    assert NODE not in schedule.due(now=31.0)
    assert NODE in schedule.due(now=301.0)


def test_relist_is_due_after_kopf_finished_listing() -> None:
    schedule = RelistSchedule()
    schedule.listed(KINDS, now=0.0)
    for moment in (10.0, 11.0, 12.0):
        schedule.kopf_lists(NODE, now=moment)
    assert schedule.due(now=13.0) == []
    assert schedule.next() == 14.0
    assert schedule.due(now=14.0) == [NODE]
    schedule.listed([NODE], now=14.0)
    assert schedule.due(now=15.0) == []


def test_suspected_stale_kind_is_due_immediately() -> None:
    schedule = RelistSchedule()
    schedule.listed(KINDS, now=0.0)
    schedule.suspect_stale(POLICY, now=5.0)
    assert schedule.due(now=5.0) == [POLICY]
