"""The cluster as last seen, in memory.

Fed by kopf's watches and by the controller's own lists (resync.py). An event only ever replaces an older
state of the same object, so the two may interleave as they like.
"""

from collections.abc import Mapping
from typing import Any

from oomkeeper.reporting.incident import Incident

from .kinds import INCIDENT, KINDS, NAMESPACE, NODE, OOM_NODE, POLICY, REPORT, Kind, Record, key_of
from .records import Namespace, Node, NodeState, Policy, Report


class ClusterState:
    """Records by kind and key."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Record]] = {kind.name: {} for kind in KINDS}
        self._gone: set[str] = set()
        """uids of what was deleted since the last begin_listing()."""
        self._listing = False

    @property
    def policies(self) -> dict[str, Policy]:
        return self._records[POLICY.name]  # type: ignore[return-value]

    @property
    def nodes(self) -> dict[str, Node]:
        return self._records[NODE.name]  # type: ignore[return-value]

    @property
    def node_states(self) -> dict[str, NodeState]:
        return self._records[OOM_NODE.name]  # type: ignore[return-value]

    @property
    def incidents(self) -> dict[str, Incident]:
        return self._records[INCIDENT.name]  # type: ignore[return-value]

    @property
    def reports(self) -> dict[str, Report]:
        return self._records[REPORT.name]  # type: ignore[return-value]

    @property
    def namespaces(self) -> dict[str, Namespace]:
        return self._records[NAMESPACE.name]  # type: ignore[return-value]

    def known(self, kind: Kind) -> Mapping[str, Record]:
        """Records of a kind."""
        return self._records[kind.name]

    def observe(self, kind: Kind, obj: Mapping[str, Any]) -> bool:
        """Take in an object. True when it differs in anything that decides; an older state than the known
        is ignored."""
        record, key = kind.read(obj), key_of(obj)
        if record.uid in self._gone:
            return False
        known = self._records[kind.name].get(key)
        if known is not None and known.uid == record.uid and record.version <= known.version:
            return False
        self._records[kind.name][key] = record
        return known != record

    def forget(self, kind: Kind, *, key: str, uid: str) -> bool:
        """The object is deleted. True when it was known; another object of the same name stays."""
        if self._listing:
            self._gone.add(uid)
        known = self._records[kind.name].get(key)
        if known is None or known.uid != uid:
            return False
        del self._records[kind.name][key]
        return True

    def begin_listing(self) -> None:
        """From now on remember what is deleted: a page of the list may still show it."""
        self._listing = True

    def end_listing(self) -> None:
        """Forget those again."""
        self._listing = False
        self._gone.clear()
