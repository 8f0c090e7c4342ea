"""Lists of everything, before the first decision and every few minutes after.

kopf says neither when its first listing is complete nor which objects vanished while a watch was broken: it
lists again and shows what is there (kopf reactor/queueing.py). Deciding on half a cluster would take sysctls
away from nodes whose policy was merely not seen yet; an unseen deletion would keep them. So the controller
lists for itself, in pages, keeping records only.
"""

from .apiclient import APIClient
from .kinds import KINDS, Kind, key_of
from .state import ClusterState

RESYNC_SECONDS = 300.0


async def resync(api: APIClient, state: ClusterState) -> bool:
    """Bring the state up to the API server's. True when anything changed. Raises APIError; the state is
    then as good as before."""
    state.begin_listing()
    try:
        changed = [await _resync_kind(api, state, kind=kind) for kind in KINDS]
    finally:
        state.end_listing()
    return any(changed)


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
