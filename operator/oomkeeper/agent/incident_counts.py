"""A kill added to the incident of its subject and cause, in the store."""

from typing import Any

from .attribution import Subject
from .incidents import add_kill, incident_key, new_incident, with_visibility
from .store import Store


def count_kill(
    store: Store,
    *,
    kill_id: str,
    record: dict[str, Any],
    when: str,
    subject: Subject,
    counted_in: str | None,
    operator_namespace: str,
) -> str:
    """Add the kill to its incident, or renew its part there (`counted_in`: the incident that has it already);
    gives the incident's key. Call it within a transaction."""
    cause = record["cause"]
    key = counted_in or incident_key(subject, cause=cause)
    before = store.incident(key)
    document = before or new_incident(subject, cause=cause, operator_namespace=operator_namespace)
    document = add_kill(
        document, record=record, kill_id=kill_id, time=when, subject=subject, new=counted_in is None
    )
    if subject.pod is None:
        document = with_visibility(document, "Host" if subject.pod_uid is None else "Invisible")
    elif counted_in is None:
        # Open again with each kill, until kubelet speaks or stays silent.
        document = with_visibility(document, None)
    if document != before:
        store.put_incident(key, document)
    return key
