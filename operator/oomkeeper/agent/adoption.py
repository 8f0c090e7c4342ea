"""Count on from the incidents that an earlier state database of this node has left in the cluster."""

from collections.abc import Sequence

from msgspec.structs import replace

from oomkeeper.logformat import get_logger
from oomkeeper.resources.meta import ObjectMeta
from oomkeeper.resources.oomincident import OOMIncident

from .incidents import key_of_incident, merge_older, status_of
from .kill_history import add_hours
from .records import AdoptedUntil
from .store import Store

log = get_logger(__name__)

ADOPTED_NOTE = "adopted"
"""Name in the store of the note that the cluster's incidents of this node are counted on."""
ADOPTED_UNTIL_NOTE = "adopted until"
_MAX_DIGITS = 18


def adopt_incidents(store: Store, incidents: Sequence[OOMIncident]) -> None:
    """Take over all incidents or none: what is published before that would reset the cluster's counts to
    ours."""
    with store.transaction():
        for incident in incidents:
            _adopt(store, incident)
            add_hours(store, status_of(incident).history)
        store.put_note(ADOPTED_UNTIL_NOTE, _until(incidents))
        store.put_note(ADOPTED_NOTE, True)
    log.info("incidents adopted", count=len(incidents))


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


def _adopt(store: Store, incident: OOMIncident) -> None:
    meta = incident.metadata
    older = replace(
        incident,
        metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, labels=meta.labels),
        status=status_of(incident),
    )
    key = key_of_incident(older)
    mine = store.incident(key)
    if mine is None:
        store.adopt_incident(key, older)
    else:
        store.put_incident(key, merge_older(mine, older))
