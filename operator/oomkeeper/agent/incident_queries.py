"""The state database's queries of incidents, and of ContainerKills, which are published the same way."""

from collections.abc import Iterator
from dataclasses import dataclass

from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.oomincident import OOMIncident

from .container_end_queries import CONTAINER_KILL
from .state_connection import StateConnection
from .state_json import decode_json, encode_json


@dataclass(frozen=True, slots=True)
class UnpublishedIncident:
    """An incident or ContainerKill whose newest version the API server does not have."""

    key: str
    version: int
    """The newest one."""


class IncidentQueries(StateConnection):
    """One thread, the loop, writes; the publisher reads what is published and marks it."""

    def incident(self, key: str) -> OOMIncident | None:
        row = self._execute("SELECT document FROM incident WHERE key = ?", (key,)).fetchone()
        return decode_json(row[0], OOMIncident) if row else None

    def put_incident(self, key: str, incident: OOMIncident) -> None:
        """Store the incident as one to be published, where it has changed."""
        undecided = incident.status is not None and any(
            kill.visibility is None and not kill.before_install for kill in incident.status.kills
        )
        self._change(
            "INSERT INTO incident (key, document, undecided) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE "
            "SET document = excluded.document, undecided = excluded.undecided, version = version + 1 "
            "WHERE document != excluded.document",
            (key, encode_json(incident), undecided),
        )

    def adopt_incident(self, key: str, incident: OOMIncident) -> None:
        """Take over an incident that an earlier state of this node has published."""
        self._execute(
            "INSERT INTO incident (key, document, version, published) VALUES (?, ?, 1, 1)",
            (key, encode_json(incident)),
        )

    def unpublished(self) -> list[UnpublishedIncident]:
        """Return every incident and ContainerKill that the API server does not have in its newest version;
        reads none of them."""
        with self._lock:
            rows = self._execute(
                "SELECT key, version FROM incident WHERE published < version ORDER BY rowid"
            ).fetchall()
        return [UnpublishedIncident(*row) for row in rows]

    def newest_version(self, key: str) -> tuple[int, OOMIncident | ContainerKill] | None:
        """Return an incident or ContainerKill and its version; None where it is not there (any more)."""
        with self._lock:
            row = self._execute(
                "SELECT version, kind, document FROM incident WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        if row[1] == CONTAINER_KILL:
            return row[0], decode_json(row[2], ContainerKill)
        return row[0], decode_json(row[2], OOMIncident)

    def count_unpublished(self) -> int:
        """Return how many incidents the API server does not have in their newest version. Safe in any
        thread."""
        with self._lock:
            row = self._execute("SELECT count(*) FROM incident WHERE published < version").fetchone()
        return int(row[0])

    def mark_published(self, key: str, version: int) -> None:
        """Note that the API server has an incident in this version. Raises StateUnwritableError."""
        with self._lock:
            self._execute("UPDATE incident SET published = max(published, ?) WHERE key = ?", (version, key))

    def incidents(self) -> Iterator[tuple[str, OOMIncident]]:
        for key, document in self._execute(
            "SELECT key, document FROM incident WHERE kind = 'OOMIncident'"
        ).fetchall():
            yield key, decode_json(document, OOMIncident)

    @property
    def any_undecided(self) -> bool:
        """Whether `undecided_incidents` yields something; reads none of them."""
        return self._execute("SELECT 1 FROM incident WHERE undecided LIMIT 1").fetchone() is not None

    def undecided_incidents(self) -> Iterator[tuple[str, OOMIncident]]:
        """Yield the incidents with a recent kill that kubelet may still report."""
        for key, document in self._execute("SELECT key, document FROM incident WHERE undecided").fetchall():
            yield key, decode_json(document, OOMIncident)

    def drop_unpublished(self, key: str) -> bool:
        """Forget an incident that was never published; return whether it was one."""
        return self._change("DELETE FROM incident WHERE key = ? AND published = 0", (key,)) > 0
