"""The cluster as last seen, in memory.

Fed by kopf's watches and by the controller's own lists (relist.py). An object only ever replaces an older
state of itself, so watches and lists may interleave in any order.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from oomkeeper.logformat import get_logger
from oomkeeper.reporting.incident import Incident

from .clock_skew import corrected
from .kinds import (
    CONTAINER_KILL,
    INCIDENT,
    KINDS,
    NAMESPACE,
    NODE,
    OOM_NODE,
    POLICY,
    REPORT,
    Kind,
    Record,
    key_of,
)
from .objects import KilledContainer, Namespace, Node, OOMNodeState, Policy, Report, with_last_valid_spec

_log = get_logger(__name__)


class Change(NamedTuple):
    """An object before and after; None where it did not exist."""

    before: Record | None
    after: Record | None


class ClusterCache:
    """Decoded objects by kind and key."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Record]] = {kind.name: {} for kind in KINDS}
        self._deleted: set[str] = set()
        """uids of the objects deleted since the last begin_list()."""
        self._listing = False

    @property
    def policies(self) -> dict[str, Policy]:
        return self._records[POLICY.name]  # type: ignore[return-value]

    @property
    def nodes(self) -> dict[str, Node]:
        return self._records[NODE.name]  # type: ignore[return-value]

    @property
    def oomnodes(self) -> dict[str, OOMNodeState]:
        return self._records[OOM_NODE.name]  # type: ignore[return-value]

    @property
    def incidents(self) -> dict[str, Incident]:
        return self._records[INCIDENT.name]  # type: ignore[return-value]

    def corrected_incidents(self) -> Iterator[Incident]:
        """Yield the incidents with their times by the API server's clock (clock_skew.py)."""
        return (corrected(incident, self.nodes) for incident in self.incidents.values())

    @property
    def container_kills(self) -> dict[str, KilledContainer]:
        return self._records[CONTAINER_KILL.name]  # type: ignore[return-value]

    @property
    def reports(self) -> dict[str, Report]:
        return self._records[REPORT.name]  # type: ignore[return-value]

    @property
    def namespaces(self) -> dict[str, Namespace]:
        return self._records[NAMESPACE.name]  # type: ignore[return-value]

    def known(self, kind: Kind) -> Mapping[str, Record]:
        """Return the cached objects of a kind."""
        return self._records[kind.name]

    def store(self, kind: Kind, obj: Mapping[str, Any]) -> Change | None:
        """Store an object unless a newer state of it is known. Return the change, None if nothing changed
        that matters to the controller."""
        key = key_of(obj)
        known = self._records[kind.name].get(key)
        if known is not None and _is_same_version(known, obj):
            return None
        record = kind.decode(obj)
        if record.uid in self._deleted:
            return None
        if known is not None and known.uid == record.uid and record.version <= known.version:
            return None
        if isinstance(record, Policy):
            record = with_last_valid_spec(record, known if isinstance(known, Policy) else None)
        self._records[kind.name][key] = record
        problem = getattr(record, "malformed", None)
        if problem and problem != getattr(known, "malformed", None):
            _log.warning("malformed object", kind=kind.name, object=key, error=problem)
        return Change(known, record) if known != record else None

    def remove(self, kind: Kind, *, key: str, uid: str) -> Change | None:
        """Remove a deleted object. Return None if it was not known; another object of the same name stays."""
        if self._listing:
            self._deleted.add(uid)
        known = self._records[kind.name].get(key)
        if known is None or known.uid != uid:
            return None
        del self._records[kind.name][key]
        return Change(known, None)

    def begin_list(self) -> None:
        """Start to remember deletions: a later page of the list may still contain the object."""
        self._listing = True

    def end_list(self) -> None:
        """Stop to remember deletions."""
        self._listing = False
        self._deleted.clear()


def _is_same_version(known: Record, obj: Mapping[str, Any]) -> bool:
    """Return whether the object is the one that is known, without decoding it: lists hold little else."""
    metadata = obj.get("metadata") or {}
    return (known.uid, str(known.version)) == (metadata.get("uid"), metadata.get("resourceVersion"))
