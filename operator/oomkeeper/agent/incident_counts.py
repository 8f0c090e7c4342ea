"""A kill added to the incident of its subject and cause, in the store."""

from oomkeeper.resources.killrecord import RecordedKill

from .attribution import Subject
from .incidents import add_kill, incident_key, new_incident
from .kill_history import count_in_hour
from .store import Store


def count_kill(
    store: Store,
    *,
    record: RecordedKill,
    when: str,
    subject: Subject,
    counted_in: str | None,
    operator_namespace: str,
) -> str:
    """Add the kill to its incident, or renew its part there (`counted_in`: the incident that has it already).

    Returns the incident's key. Call it within a transaction.
    """
    key = counted_in or incident_key(subject, cause=record.cause)
    before = store.incident(key)
    incident = before or new_incident(subject, cause=record.cause, operator_namespace=operator_namespace)
    incident = add_kill(incident, record=record, time=when, subject=subject, new=counted_in is None)
    if incident != before:
        store.put_incident(key, incident)
    if counted_in is None:
        count_in_hour(store, when)
    return key
