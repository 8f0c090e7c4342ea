"""The node's state: what is recorded, counted, noted and published. Typed access to the state database.

One transaction carries a kill, what it changes in its incident, the accounting and the place in the kernel
log, so a kill is counted once, or (when the process ended before the commit) read again from the log. WAL
with synchronous=NORMAL survives the end of the process at any instant; a power cut may lose the last commits,
and with them the kernel's log and counters.

While the disk does not take a write, the state is kept in memory within a bound (memory_state.py).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from oomkeeper.kernel.live_log import SYSLOG_SEQS
from oomkeeper.model.kill import Kill
from oomkeeper.resources.killrecord import RecordedKill

from .container_end_queries import CONTAINER_KILL, ContainerEndQueries, KillOfPod
from .database import DATABASE_NAME, StateError, StateUnwritableError, hold_state
from .incident_queries import IncidentQueries
from .kill_totals import KillTotalsTable
from .pods import Pod
from .records import BEFORE_INSTALL_NOTE, BeforeInstallNote
from .setting_queries import SettingQueries
from .state_json import decode_json, decode_json_or_none, encode_json

__all__ = ["DATABASE_NAME", "KillOfPod", "StateError", "StateUnwritableError", "Store", "hold_state"]

T = TypeVar("T")

KEPT_KILLS = 10_000
"""Kill records kept for `oomkeeper kills`; the accounting and the incidents count on beyond them."""
PAGE_KILLS = 500
"""Read at once where all are read."""
KEPT_INCIDENTS = 1000
"""Published incidents kept; the cluster has its own copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How the kernel's count of OOM kills compares with the kills recorded. Counts of processes, over all
    boots kept."""

    recorded: int
    unattributed: int
    """Counted by /proc/vmstat and seen nowhere else."""
    lost_records: int
    """Kernel log records overwritten before they were read."""
    since: str | None
    before_install: int = 0
    """Kills recorded from before `since`; not among the others."""
    left_out: int = 0
    """Kills before `since` that the log holds and that are not recorded: too many, or too old."""

    @property
    def vmstat_oom_kill(self) -> int:
        """Growth of /proc/vmstat's oom_kill while the account was kept."""
        return self.recorded + self.unattributed


class Store(ContainerEndQueries, IncidentQueries, SettingQueries, KillTotalsTable):
    """The queries. One thread, the loop, writes; the publisher reads what is published and marks it."""

    def probe(self, value: str) -> None:
        """Write something. Raises StateUnwritableError where the disk does not take it."""
        self.put_note("probe", value)

    # -- the kernel log's place and the account

    def boot(self, boot_id: str) -> "BootRow | None":
        row = self._execute(
            "SELECT boot_id, since, cursor, vmstat_base, recorded, unattributed, lost FROM boot "
            "WHERE boot_id = ?",
            (boot_id,),
        ).fetchone()
        return BootRow(*row) if row else None

    def boot_before(self, boot_id: str, time: str) -> str | None:
        """Return the boot that was running at `time`, as far as the agent was there to note it; never
        `boot_id`."""
        row = self._execute(
            "SELECT boot_id FROM boot WHERE boot_id != ? AND since <= ? ORDER BY since DESC LIMIT 1",
            (boot_id, time),
        ).fetchone()
        return row[0] if row else None

    def start_boot(
        self,
        *,
        boot_id: str,
        since: str,
        cursor: int,
        vmstat_base: int,
        counters: Mapping[str, tuple[int, int | None]],
    ) -> "BootRow":
        """Begin a boot's account. `counters`: cgroup -> (kills that it has counted already, inode)."""
        with self.transaction():
            self._change(
                "INSERT INTO boot (boot_id, since, cursor, vmstat_base) VALUES (?, ?, ?, ?)",
                (boot_id, since, cursor, vmstat_base),
            )
            self._execute("DELETE FROM counter")  # those of an earlier boot
            for path, (kills, inode) in counters.items():
                self.put_counter(boot_id, path, kills=kills, inode=inode)
        return BootRow(boot_id, since, cursor, vmstat_base, 0, 0, 0)

    def counters(self, boot_id: str) -> dict[str, tuple[int, int | None]]:
        """Return cgroup -> (its kills that are accounted for, inode)."""
        rows = self._execute("SELECT path, kills, inode FROM counter WHERE boot_id = ?", (boot_id,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def put_counter(self, boot_id: str, path: str, *, kills: int, inode: int | None) -> None:
        self._execute("INSERT OR REPLACE INTO counter VALUES (?, ?, ?, ?)", (boot_id, path, kills, inode))

    def keep_counters(self, boot_id: str, paths: Iterable[str]) -> None:
        """Forget every counter but these: the cgroups of the others are gone."""
        gone = self.counters(boot_id).keys() - set(paths)
        for path in gone:
            self._execute("DELETE FROM counter WHERE boot_id = ? AND path = ?", (boot_id, path))

    def move_cursor(self, boot_id: str, cursor: int, *, lost: int | None) -> None:
        """Note that everything up to `cursor` is processed; `lost` are the records lost up to there, None to
        leave that as it is. Call it within a transaction."""
        if lost is not None:
            self._change(
                "UPDATE boot SET lost = ? WHERE boot_id = ? AND cursor <= ? AND lost != ?",
                (lost, boot_id, cursor, lost),
            )
        self._execute(
            "UPDATE boot SET cursor = ?1 WHERE boot_id = ?2 AND (cursor <= ?1 OR cursor >= ?3 AND ?1 < ?3)",
            (cursor, boot_id, SYSLOG_SEQS),  # the numbers of the reader before mean nothing to this one
        )
        self._execute("DELETE FROM kill_line WHERE boot_id != ? OR seq <= ?", (boot_id, cursor))

    def set_unattributed(self, boot_id: str, unattributed: int) -> None:
        self._change(
            "UPDATE boot SET unattributed = ? WHERE boot_id = ? AND unattributed != ?",
            (unattributed, boot_id, unattributed),
        )

    def account(self) -> Account:
        row = self._execute(
            "SELECT sum(recorded), sum(unattributed), sum(lost), min(since) FROM boot"
        ).fetchone()
        before = self.note(BEFORE_INSTALL_NOTE, BeforeInstallNote)
        return Account(
            recorded=row[0] or 0,
            unattributed=row[1] or 0,
            lost_records=row[2] or 0,
            since=row[3],
            before_install=before.kills if before else 0,
            left_out=before.left_out or 0 if before else 0,
        )

    def lost_records(self) -> int:
        """Return the kernel log records lost over all boots, as committed. Safe in any thread."""
        with self._lock:
            row = self._execute("SELECT sum(lost) FROM boot").fetchone()
        return row[0] or 0

    @property
    def knows_a_boot(self) -> bool:
        """Whether the agent has run on this node before, with this state."""
        return self._execute("SELECT 1 FROM boot LIMIT 1").fetchone() is not None

    # -- kills

    def add_kill_lines(self, boot_id: str, seqs: tuple[int, ...]) -> int:
        """Note the log records that report a killed process; how many of them are new is added to
        `recorded` and returned."""
        before = self._db.total_changes
        for seq in seqs:
            self._execute("INSERT OR IGNORE INTO kill_line VALUES (?, ?)", (boot_id, seq))
        new = self._db.total_changes - before
        if new:
            self._change("UPDATE boot SET recorded = recorded + ? WHERE boot_id = ?", (new, boot_id))
        return new

    def add_traced_kill(self, boot_id: str) -> None:
        """Add a kill that no log record reports to `recorded`."""
        self._change("UPDATE boot SET recorded = recorded + 1 WHERE boot_id = ?", (boot_id,))

    def kill_lines(self, boot_id: str) -> list[int]:
        """Log records with a killed process that are counted, of those that the cursor has not passed; in
        order."""
        rows = self._execute("SELECT seq FROM kill_line WHERE boot_id = ? ORDER BY seq", (boot_id,))
        return [row[0] for row in rows]

    def kill(self, kill_id: str) -> "KillRow | None":
        row = self._execute("SELECT incident, time, record FROM kill WHERE id = ?", (kill_id,)).fetchone()
        return (
            KillRow(incident=row[0], time=row[1], record=decode_json(row[2], RecordedKill)) if row else None
        )

    def put_kill(
        self,
        *,
        kill_id: str,
        incident: str | None,
        container_id: str | None,
        time: str,
        record: RecordedKill,
    ) -> None:
        """Store or renew one kill's record. The incident that a kill was once counted in stays."""
        self._execute(
            "INSERT INTO kill (id, incident, container_id, time, record) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET incident = coalesce(incident, excluded.incident), "
            "container_id = excluded.container_id, time = excluded.time, record = excluded.record",
            (kill_id, incident, container_id, time, encode_json(record)),
        )
        self._execute("DELETE FROM kill WHERE number <= (SELECT max(number) FROM kill) - ?", (KEPT_KILLS,))

    def release_kill(self, kill_id: str) -> None:
        """Note that no incident counts the kill any more."""
        self._execute("UPDATE kill SET incident = NULL WHERE id = ?", (kill_id,))

    def kill_times(self, boot_id: str) -> Iterator[tuple[str, str | None, str]]:
        """Yield id, incident and time of the kills of a boot. They may be changed meanwhile."""
        number = -1
        while True:
            rows = self._execute(
                "SELECT number, id, incident, time FROM kill WHERE number > ? AND id >= ? AND id < ? "
                "ORDER BY number LIMIT ?",
                (number, f"{boot_id}-", f"{boot_id}.", PAGE_KILLS),
            ).fetchall()
            if not rows:
                return
            number = rows[-1][0]
            yield from ((row[1], row[2], row[3]) for row in rows)

    def redate_kill(self, kill_id: str, time: str) -> None:
        """Change the time of a kill and of its record."""
        self._execute(
            "UPDATE kill SET time = ?, record = json_set(record, '$.time', ?) WHERE id = ?",
            (time, time, kill_id),
        )

    def redate_boot(self, boot_id: str, since: str) -> None:
        self._change("UPDATE boot SET since = ? WHERE boot_id = ?", (since, boot_id))

    def kills(self, *, limit: int | None = None) -> list[RecordedKill]:
        """Return the stored kill records, oldest first; `limit` keeps the newest. Kills before the first
        start are stored while others happen."""
        numbers = self._execute(
            "SELECT number FROM kill ORDER BY time DESC, number DESC LIMIT ?",
            (-1 if limit is None else limit,),
        ).fetchall()
        rows = [self._execute("SELECT record FROM kill WHERE number = ?", key).fetchone() for key in numbers]
        return [decode_json(row[0], RecordedKill) for row in rows if row is not None][::-1]

    def victims_since(self, time: str) -> list[tuple[int, str]]:
        """Return process number and time of each recorded victim from a time (RFC 3339) on."""
        return self._execute(
            "SELECT json_extract(victim.value, '$.pid'), kill.time FROM kill, "
            "json_each(kill.record, '$.victims') AS victim WHERE kill.time >= ?",
            (time,),
        ).fetchall()

    def incident_of_container(self, container_id: str) -> list[str]:
        """Return the keys of the incidents that hold a kill of this container."""
        rows = self._execute(
            "SELECT DISTINCT incident FROM kill WHERE container_id = ? AND incident IS NOT NULL",
            (container_id,),
        )
        return [row[0] for row in rows]

    def holds_uncounted(self, container_id: str) -> bool:
        """Return whether a stored kill of this container waits to be counted."""
        row = self._execute(
            "SELECT 1 FROM kill WHERE container_id = ? AND incident IS NULL LIMIT 1", (container_id,)
        ).fetchone()
        return row is not None

    def placeless_kills_before_install(self) -> list[tuple[str, str]]:
        """Return id and time of the kills before the first start whose cgroup is not known, in order."""
        rows = self._execute(
            "SELECT id, time FROM kill WHERE container_id IS NULL "
            "AND json_extract(record, '$.beforeInstall') AND json_extract(record, '$.taskMemcg') IS NULL "
            "AND json_extract(record, '$.oomMemcg') IS NULL ORDER BY time"
        )
        return [(row[0], row[1]) for row in rows.fetchall()]

    # -- incidents: see also incident_queries.py

    def prune(self, *, before: str) -> None:
        """Forget published incidents and ContainerKills whose last kill was before a time (RFC 3339), the
        oldest of each beyond the newest KEPT_INCIDENTS, what kubelet reported before that time, kills of it
        whose pod is not known, and old ends of containers."""
        with self.transaction():
            for kind in ("OOMIncident", CONTAINER_KILL):
                self._execute(
                    "DELETE FROM incident WHERE kind = ? AND published >= version AND NOT undecided AND "
                    "(coalesce(json_extract(document, '$.status.lastSeen'), '') < ? OR key NOT IN ("
                    "SELECT key FROM incident WHERE kind = ? "
                    "ORDER BY json_extract(document, '$.status.lastSeen') DESC LIMIT ?))",
                    (kind, before, kind, KEPT_INCIDENTS),
                )
            self.prune_ends(before=before)
            self._execute("DELETE FROM reported WHERE time < ?", (before,))
            self._execute(
                "DELETE FROM unidentified_kill WHERE id NOT IN (SELECT id FROM kill WHERE time >= ?)",
                (before,),
            )

    def note_reported(self, container_id: str, time: str) -> bool:
        """Note that kubelet reported this container OOMKilled; True the first time."""
        before = self._db.total_changes
        self._execute("INSERT OR IGNORE INTO reported VALUES (?, ?)", (container_id, time))
        return self._db.total_changes > before

    def is_reported(self, container_id: str) -> bool:
        """Return whether `note_reported` was called for this container."""
        row = self._execute("SELECT 1 FROM reported WHERE container_id = ?", (container_id,)).fetchone()
        return row is not None

    # -- pods, and kills whose pod is not known

    def pods(self) -> list[Pod]:
        """Return the pods of this node as they were known last; without those that another release stored in
        another form."""
        rows = self._execute("SELECT document FROM pod").fetchall()
        return [pod for row in rows if (pod := decode_json_or_none(row[0], Pod)) is not None]

    def put_pod(self, pod: Pod) -> None:
        """Store or renew a pod; nothing is written where it has not changed."""
        self._execute(
            "INSERT INTO pod VALUES (?, ?) ON CONFLICT (uid) DO UPDATE "
            "SET document = excluded.document WHERE document != excluded.document",
            (pod.facts.uid, encode_json(pod)),
        )

    def drop_pod(self, uid: str) -> None:
        self._execute("DELETE FROM pod WHERE uid = ?", (uid,))

    def put_unidentified(self, kill_id: str, kill: "UnidentifiedKill") -> None:
        """Store a kill for the time when its pod is known."""
        self._execute(
            "INSERT OR REPLACE INTO unidentified_kill VALUES (?, ?, ?)",
            (kill_id, kill.pod_uid, json.dumps(msgspec.to_builtins(kill, enc_hook=_plain))),
        )

    def unidentified(self) -> dict[str, "UnidentifiedKill"]:
        """Return the kills whose pod is not known, by id."""
        found = {}
        for kill_id, text in self._execute("SELECT id, kill FROM unidentified_kill").fetchall():
            try:
                found[kill_id] = msgspec.convert(json.loads(text), UnidentifiedKill, str_keys=True)
            except msgspec.ValidationError:
                continue  # of another release
        return found

    def drop_unidentified(self, kill_id: str) -> None:
        self._execute("DELETE FROM unidentified_kill WHERE id = ?", (kill_id,))

    # -- notes: what else the agent must know after a restart

    def note(self, key: str, kind: type[T]) -> T | None:
        """Return what is noted under a name; None where nothing is."""
        row = self._execute("SELECT document FROM note WHERE key = ?", (key,)).fetchone()
        return decode_json(row[0], kind) if row else None

    def committed_note(self, key: str, kind: type[T]) -> T | None:
        """Return the same as committed. Safe in any thread."""
        with self._lock:
            return self.note(key, kind)

    def drop_note(self, key: str) -> None:
        self._execute("DELETE FROM note WHERE key = ?", (key,))

    def put_note(self, key: str, value: object, *, published: bool = False) -> None:
        """Note a value under a name; nothing is written where it is there already. `published`: it is a part
        of OOMNode.status."""
        put = self._change if published else self._execute
        put(
            "INSERT INTO note VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document "
            "WHERE document != excluded.document",
            (key, encode_json(value)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KillRow:
    """One stored kill."""

    incident: str | None
    """Key of the incident that counts it; None while it waits for its pod."""
    time: str
    record: RecordedKill


@dataclass(frozen=True, slots=True, kw_only=True)
class UnidentifiedKill:
    """A kill in the cgroup of a pod that is not known (yet)."""

    pod_uid: str
    kill: Kill
    inferred: str | None = None
    """How its cgroup was found, where the kernel did not print it."""
    before_install: bool = False
    """Whether it was before the agent's first start."""


@dataclass(frozen=True, slots=True)
class BootRow:
    """One boot's place in the kernel log and its part of the account."""

    boot_id: str
    since: str
    cursor: int
    vmstat_base: int
    recorded: int
    unattributed: int
    lost: int
    since_ns: int = 0
    """Where the account began with this start of the agent: when, by CLOCK_MONOTONIC. Not stored."""


def _plain(value: object) -> object:
    """Return what a lazily parsed part of a Kill holds."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise NotImplementedError(type(value).__name__)
