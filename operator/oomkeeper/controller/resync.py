"""Lists of everything, before the first decision and now and then after.

kopf says neither when its first listing is complete nor which objects vanished while a watch was broken: it
lists again and shows what is there (kopf reactor/queueing.py). Deciding on half a cluster would take sysctls
away from nodes whose policy was merely not seen yet; an unseen deletion would keep them. So the controller
lists for itself, in pages, keeping records only.
"""

from collections.abc import Iterable

from .apiclient import APIClient
from .kinds import KINDS, POLICY, REPORT, Kind, key_of
from .state import ClusterState

_FEW_SECONDS = 30.0
_MANY_SECONDS = 300.0
_CALM_SECONDS = 2.0


class Schedule:
    """When each kind is to be listed again: by the clock, after a relisting of kopf's, and when a write
    finds nothing."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._relisted: dict[str, float] = {}

    def listed(self, kinds: Iterable[Kind], *, now: float) -> None:
        """These are listed: policies and reports, of which there are few, again in half a minute, others
        in five."""
        for kind in kinds:
            self._due[kind.name] = now + (_FEW_SECONDS if kind in (POLICY, REPORT) else _MANY_SECONDS)
            self._relisted.pop(kind.name, None)

    def relisting(self, kind: Kind, *, now: float) -> None:
        """kopf is listing it (again): its watch had a gap. To be listed once that is over."""
        self._relisted[kind.name] = now + _CALM_SECONDS

    def doubted(self, kind: Kind, *, now: float) -> None:
        """An object of it was not where it should be."""
        self._due[kind.name] = now

    def next(self) -> float:
        """The earliest moment at which anything is due; infinite before the first listing."""
        return min((*self._due.values(), *self._relisted.values()), default=float("inf"))

    def due(self, *, now: float) -> list[Kind]:
        """What is due."""
        return [
            kind
            for kind in KINDS
            if min(self._due.get(kind.name, 0.0), self._relisted.get(kind.name, float("inf"))) <= now
        ]


async def resync(api: APIClient, state: ClusterState, *, kinds: Iterable[Kind] = KINDS) -> list[Kind]:
    """Bring the state up to the API server's. Gives the kinds in which anything changed.

    Raises APIError; what is known of a kind whose list broke off is then as good as before.
    """
    state.begin_listing()
    try:
        return [kind for kind in kinds if await _resync_kind(api, state, kind=kind)]
    finally:
        state.end_listing()


async def _resync_kind(api: APIClient, state: ClusterState, *, kind: Kind) -> bool:
    before = {key: record.uid for key, record in state.known(kind).items()}
    listed: dict[str, str] = {}
    changed = False
    async for obj in api.list(kind.root):
        listed[key_of(obj)] = obj["metadata"]["uid"]
        changed |= state.observe(kind, obj)
    # Only what was known before the list began can be missing from it because it is gone.
    for key, uid in before.items():
        if listed.get(key) != uid:
            changed |= state.forget(kind, key=key, uid=uid)
    return changed
