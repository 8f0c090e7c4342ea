"""The state's part about ends of containers by SIGKILL: which are counted, in which ContainerKill, and which
signals were traced.

The end of a container is noted in the transaction that counts it. Its id names it alone: a mirror pod that
kubelet makes anew has another uid and the same containers."""

from collections.abc import Iterator
from dataclasses import dataclass

from oomkeeper.model.killer import KillSignal
from oomkeeper.resources.containerkill import ContainerKill
from oomkeeper.resources.killrecord import RecordedKill

from .state_connection import StateConnection
from .state_json import decode_json, decode_json_or_none, encode_json

CONTAINER_KILL = "ContainerKill"
KEPT_ENDS = 10_000
KEPT_SIGNALS = 2000
"""Containers whose signals are kept."""
SEARCHED_KILLS = 2000
"""Kill records among which those of one pod and moment are looked for: this takes some milliseconds."""
UNDATED = "undated"
"""Stands for the time of an end whose status has none: later than every time, so it is noted as long as there
is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillOfPod:
    """One stored kill in the cgroup of a pod."""

    id: str
    incident: str | None
    """Key of the incident that counts it; None while it waits for its container."""
    record: RecordedKill


class ContainerEndQueries(StateConnection):
    """Queries of the store."""

    def is_end_counted(self, container_id: str) -> bool:
        """Return whether a ContainerKill counts this end."""
        row = self._execute("SELECT 1 FROM container_end WHERE container_id = ?", (container_id,)).fetchone()
        return row is not None

    def note_end(self, *, pod_uid: str, container_id: str, key: str, time: str) -> bool:
        """Note that the ContainerKill of this key counts an end; True the first time."""
        count = self._execute(
            "INSERT OR IGNORE INTO container_end (pod_uid, container_id, object, time) VALUES (?, ?, ?, ?)",
            (pod_uid, container_id, key, time),
        ).rowcount
        return count > 0

    def container_kill(self, key: str) -> ContainerKill | None:
        row = self._execute(
            "SELECT document FROM incident WHERE key = ? AND kind = ?", (key, CONTAINER_KILL)
        ).fetchone()
        return decode_json(row[0], ContainerKill) if row else None

    def container_kills(self) -> Iterator[tuple[str, ContainerKill]]:
        rows = self._execute("SELECT key, document FROM incident WHERE kind = ?", (CONTAINER_KILL,))
        for key, document in rows.fetchall():
            yield key, decode_json(document, ContainerKill)

    def put_container_kill(self, key: str, kill: ContainerKill, *, published: bool = False) -> None:
        """Store a ContainerKill as one to be published; `published`: as one that the API server has."""
        if published:
            self._execute(
                "INSERT INTO incident (key, document, version, published, kind) VALUES (?, ?, 1, 1, ?)",
                (key, encode_json(kill), CONTAINER_KILL),
            )
            return
        self._change(
            "INSERT INTO incident (key, document, kind) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET document = excluded.document, version = version + 1 WHERE document != excluded.document",
            (key, encode_json(kill), CONTAINER_KILL),
        )

    def container_signals(self, container_id: str) -> tuple[KillSignal, ...]:
        """Return the SIGKILLs to a container's processes that are kept, in order."""
        row = self._execute(
            "SELECT document FROM container_signals WHERE container_id = ?", (container_id,)
        ).fetchone()
        return (decode_json_or_none(row[0], tuple[KillSignal, ...]) or ()) if row else ()

    def put_container_signals(self, container_id: str, signals: tuple[KillSignal, ...], *, time: str) -> None:
        self._execute(
            "INSERT OR REPLACE INTO container_signals (container_id, time, document) VALUES (?, ?, ?)",
            (container_id, time, encode_json(signals)),
        )

    def kills_of_container(self, container_id: str) -> list[KillOfPod]:
        """Return the OOM kills in a container."""
        rows = self._execute(
            "SELECT id, incident, record FROM kill WHERE container_id = ? ORDER BY number", (container_id,)
        )
        return [
            KillOfPod(id=row[0], incident=row[1], record=decode_json(row[2], RecordedKill))
            for row in rows.fetchall()
        ]

    def kills_of_pod(self, uids: tuple[str, str], *, since: str, until: str) -> list[KillOfPod]:
        """Return the kills of a time whose cgroup names one of these pod uids; of the newest SEARCHED_KILLS
        only."""
        rows = self._execute(
            "SELECT id, incident, record FROM kill WHERE number > (SELECT max(number) FROM kill) - ? "
            "AND time >= ? AND time <= ? AND json_extract(record, '$.podUid') IN (?, ?)",
            (SEARCHED_KILLS, since, until, *uids),
        )
        return [
            KillOfPod(id=row[0], incident=row[1], record=decode_json(row[2], RecordedKill)) for row in rows
        ]

    def prune_ends(self, *, before: str) -> None:
        """Forget ends and signals before a time, and the oldest of too many. Call it within a transaction."""
        for table, most in (("container_end", KEPT_ENDS), ("container_signals", KEPT_SIGNALS)):
            self._execute(f"DELETE FROM {table} WHERE time < ?", (before,))
            self._execute(
                f"DELETE FROM {table} WHERE time <= (SELECT time FROM {table} ORDER BY time DESC "
                "LIMIT 1 OFFSET ?)",
                (most,),
            )
