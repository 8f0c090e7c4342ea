"""The controller's own lists, before the first decision and from time to time after it.

kopf reports neither when its first list is complete nor which objects disappeared while a watch was broken:
it lists again and passes on what exists (kopf reactor/queueing.py). A decision on half a cluster would
release sysctls on nodes whose policy had not been seen yet; a missed deletion would keep them. So the
controller lists too, in pages, and keeps decoded objects only.
"""

from collections.abc import Callable, Iterable

from .apiclient import APIClient
from .cache import Change, ClusterCache
from .kinds import KINDS, POLICY, REPORT, Kind, key_of

_FEW_SECONDS = 30.0
_MANY_SECONDS = 300.0
_SETTLE_SECONDS = 2.0


class RelistSchedule:
    """When each kind is listed again: periodically, after kopf has listed it, and when a write finds no
    object."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._kopf_listed: dict[str, float] = {}

    def listed(self, kinds: Iterable[Kind], *, now: float) -> None:
        """Record a list. Policies and reports, of which there are few, are due in 30 s, others in 5 min."""
        for kind in kinds:
            self._due[kind.name] = now + (_FEW_SECONDS if kind in (POLICY, REPORT) else _MANY_SECONDS)
            self._kopf_listed.pop(kind.name, None)

    def kopf_lists(self, kind: Kind, *, now: float) -> None:
        """Record that kopf lists a kind, so its watch had a gap. The kind is due once that is over."""
        self._kopf_listed[kind.name] = now + _SETTLE_SECONDS

    def suspect_stale(self, kind: Kind, *, now: float) -> None:
        """Make a kind due immediately: the API server contradicted the cache."""
        self._due[kind.name] = now

    def next(self) -> float:
        """Return the earliest time at which a kind is due; infinity before the first list."""
        return min((*self._due.values(), *self._kopf_listed.values()), default=float("inf"))

    def due(self, *, now: float) -> list[Kind]:
        """Return the kinds that are due."""
        return [
            kind
            for kind in KINDS
            if min(self._due.get(kind.name, 0.0), self._kopf_listed.get(kind.name, float("inf"))) <= now
        ]


async def relist(
    api: APIClient,
    cache: ClusterCache,
    *,
    kinds: Iterable[Kind] = KINDS,
    changed: Callable[[Kind, Change], None],
) -> None:
    """Bring the cache up to date. Calls `changed` for each change.

    Raises APIError; the objects of a kind whose list failed stay as they were.
    """
    cache.begin_list()
    try:
        for kind in kinds:
            await _relist_kind(api, cache, kind=kind, changed=changed)
    finally:
        cache.end_list()


async def _relist_kind(
    api: APIClient, cache: ClusterCache, *, kind: Kind, changed: Callable[[Kind, Change], None]
) -> None:
    before = {key: record.uid for key, record in cache.known(kind).items()}
    listed: dict[str, str] = {}
    async for obj in api.list(kind.root):
        listed[key_of(obj)] = obj["metadata"]["uid"]
        if change := cache.store(kind, obj):
            changed(kind, change)
    # An object that was first seen after the list began may be missing from it and still exist.
    for key, uid in before.items():
        if listed.get(key) != uid and (change := cache.remove(kind, key=key, uid=uid)):
            changed(kind, change)
