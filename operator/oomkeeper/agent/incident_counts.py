"""A kill added to the incident of its subject and cause, in the store."""

from oomkeeper.resources.killrecord import RecordedKill
from oomkeeper.resources.oomincident import HourCount

from .attribution import Subject
from .clock import full_hour, rfc3339
from .incidents import (
    add_kill,
    incident_key,
    new_incident,
    remove_kill,
    status_of,
    with_status_at_install,
)
from .kill_history import add_hours, count_in_hour
from .kill_totals import series_of
from .store import Store


def count_kill(
    store: Store,
    *,
    record: RecordedKill,
    when: str,
    subject: Subject,
    counted_in: str | None,
    moved: bool = False,
    operator_namespace: str,
    wall: float,
) -> str:
    """Add the kill to its incident, or renew its part there (`counted_in`: the incident that has it already).

    `moved`: another incident had it, so it is in the totals already. `wall` is the time now. Returns the
    incident's key. Call it within a transaction.
    """
    key = counted_in or incident_key(subject, cause=record.cause)
    before = store.incident(key)
    incident = before or new_incident(subject, cause=record.cause, operator_namespace=operator_namespace)
    incident = add_kill(
        incident,
        record=record,
        time=when,
        subject=subject,
        new=counted_in is None,
        now=max(when, rfc3339(wall)),
    )
    if record.before_install:
        incident = with_status_at_install(incident, record.id, subject=subject)
    if incident != before:
        store.put_incident(key, incident)
    if counted_in is None:
        count_in_hour(store, when)
        if not moved and not record.before_install:
            add_to_total(store, cause=record.cause, subject=subject, wall=wall)
    return key


def add_to_total(store: Store, *, cause: str, subject: Subject, wall: float) -> None:
    """Add a kill to the totals of the metrics, once, within the transaction that counts it. Kills before the
    first start are not added: an earlier state may have counted them."""
    series = series_of(
        cause=cause,
        namespace=subject.pod.facts.namespace if subject.pod is not None else None,
        workload=subject.workload,
        container=subject.container,
        in_pod=subject.pod_uid is not None,
    )
    store.add_kill_total(series, now=wall)


def store_kill(
    store: Store,
    *,
    record: RecordedKill,
    when: str,
    subject: Subject,
    counts: bool = True,
    counted_in: str | None = None,
    moved: bool = False,
    operator_namespace: str,
    wall: float,
) -> None:
    """Store a kill's record, counted in its incident; `counts` False: in none yet, for its subject is not
    settled. The rest is as for `count_kill`."""
    key = None
    if counts:
        key = count_kill(
            store,
            record=record,
            when=when,
            subject=subject,
            counted_in=counted_in,
            moved=moved,
            operator_namespace=operator_namespace,
            wall=wall,
        )
    store.put_kill(
        kill_id=record.id, incident=key, container_id=subject.container_id, time=when, record=record
    )


def uncount_kill(store: Store, *, key: str, kill_id: str, when: str) -> None:
    """Take a kill out of its incident, for it belongs to another one. Call it within a transaction."""
    add_hours(store, [HourCount(hour=full_hour(when), kills=-1)])
    incident = store.incident(key)
    if incident is None:
        return
    without = remove_kill(incident, kill_id=kill_id, time=when)
    if status_of(without).count or not store.drop_unpublished(key):
        store.put_incident(key, without)
