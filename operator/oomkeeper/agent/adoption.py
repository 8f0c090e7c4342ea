"""Count on from the incidents that an earlier state database of this node has left in the cluster."""

from collections.abc import Sequence

from msgspec.structs import replace

from oomkeeper.logformat import get_logger
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident

from .container_kills import RING as ENDS_RING
from .container_kills import key_of_container_kill, kill_status_of, merge_older_kill
from .incidents import key_of_incident, merge_older, status_of
from .kill_history import add_hours
from .records import ADOPTED_ENDS_NOTE, AdoptedUntil
from .store import Store

log = get_logger(__name__)

ADOPTED_NOTE = "adopted"
"""Name in the store of the note that the cluster's incidents of this node are counted on."""
ADOPTED_UNTIL_NOTE = "adopted until"
_MAX_DIGITS = 18


def adopt_incidents(
    store: Store, incidents: Sequence[OOMIncident], container_kills: Sequence[ContainerKill] = ()
) -> None:
    """Take over all incidents and ContainerKills or none: what is published before that would reset the
    cluster's counts to ours."""
    with store.transaction():
        for incident in incidents:
            _adopt(store, incident)
            add_hours(store, status_of(incident).history)
        oldest: dict[str, str] = {}
        for kill in container_kills:
            key = _adopt_container_kill(store, kill)
            if len(ends := kill_status_of(kill).ends) >= ENDS_RING:
                oldest[key] = ends[-1].time
        store.put_note(ADOPTED_ENDS_NOTE, oldest)
        store.put_note(ADOPTED_UNTIL_NOTE, _until(incidents))
        store.put_note(ADOPTED_NOTE, True)
    log.info("incidents adopted", count=len(incidents), container_kills=len(container_kills))


def adopted_until(store: Store) -> AdoptedUntil:
    """Return the last of what the adopted incidents count."""
    return store.note(ADOPTED_UNTIL_NOTE, AdoptedUntil) or AdoptedUntil()


def _until(incidents: Sequence[OOMIncident]) -> AdoptedUntil:
    seqs: dict[str, int] = {}
    for incident in incidents:
        for kill in status_of(incident).kills:
            boot, _, number = kill.id.rpartition("-")
            if number.isdecimal() and len(number) <= _MAX_DIGITS:
                seqs[boot] = max(seqs.get(boot, -1), int(number))
    seen = [last for incident in incidents if (last := status_of(incident).last_seen) is not None]
    return AdoptedUntil(last_seen=max(seen, default=None), seqs=seqs)


def _adopt_container_kill(store: Store, kill: ContainerKill) -> str:
    """Take over one ContainerKill; return its key."""
    older = replace(kill, metadata=_written_here(kill.metadata), status=kill_status_of(kill))
    key = key_of_container_kill(older)
    mine = store.container_kill(key)
    if mine is None:
        store.put_container_kill(key, older, published=True)
    else:
        store.put_container_kill(key, merge_older_kill(mine, older))
    for end in kill_status_of(older).ends:
        store.note_end(pod_uid=end.pod_uid, container_id=end.container_id, key=key, time=end.time)
    return key


def _adopt(store: Store, incident: OOMIncident) -> None:
    older = replace(incident, metadata=_written_here(incident.metadata), status=status_of(incident))
    key = key_of_incident(older)
    mine = store.incident(key)
    if mine is None:
        store.adopt_incident(key, older)
    else:
        store.put_incident(key, merge_older(mine, older))


def _written_here(meta: ObjectMeta) -> ObjectMeta:
    """Return the part of the metadata that an agent writes."""
    return ObjectMeta(name=meta.name, namespace=meta.namespace, labels=meta.labels)
