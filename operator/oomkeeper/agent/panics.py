"""OOM panics of the node, read from pstore after the reboot: one incident each, each counted once.

A kernel that panics (vm.panic_on_oom, or nothing left to kill) notifies no process: the agent ends with it,
the kill counters start at zero, and kubelet finds containers that are gone. What is left is the log in
pstore, with the OOM report but no `oom-kill:` line and no victim: check_panic_on_oom() (mm/oom_kill.c) prints
the header and panics before a victim is chosen.

Records are read and left where they are; clearing pstore is the work of systemd-pstore or the administrator.
What was counted is noted in the store, in the transaction that counts it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from oomkeeper.kernel.pstore import Dump, read_dumps, record_files
from oomkeeper.kernel.report import parse_records
from oomkeeper.logformat import get_logger
from oomkeeper.model.kill import Kill
from oomkeeper.model.node import NodeFacts
from oomkeeper.resources.killrecord import RecordedKill
from oomkeeper.resources.oomnode import LastPanic, OOMNodeStatus
from oomkeeper.resources.record import max_items

from .attribution import Subject, attribute
from .clock import parse_rfc3339, rfc3339
from .incident_counts import store_kill
from .kill_record import record_of
from .killed_container import PANIC_ID
from .listener import LoopListener
from .pods import PodTable
from .records import PanicNote
from .shared_kernel import SharedKernel
from .store import Store

log = get_logger(__name__)

PANICS_NOTE = "panics"
"""Name in the store of the PanicNote."""
LOOK_SECONDS = 60.0
"""Between two looks: a backend's module may be loaded long after boot (efi_pstore, ramoops)."""
ATTRIBUTE_SECONDS = 15.0
"""How long a panic waits for its pod once the pods of the node are known: its pod may be deleted by now."""
MAX_AGE_SECONDS = 7 * 86400.0
"""As long as incidents live; older panics in an archive are ignored."""
MAX_SEEN = 512
MAX_TIMES = max_items(OOMNodeStatus, "recent_panics")
MAX_FOUND = 101
"""One more than the highest panicSafety.maxPanics."""


@dataclass(slots=True)
class _Waiting:
    kill: Kill
    when: str
    since: float | None = None
    """When the pods were known and its own was not among them."""


class PanicWatch:
    """Finds new records and counts them. Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        facts: NodeFacts,
        node: str,
        pods: PodTable | None,
        operator_namespace: str,
        listener: LoopListener,
        shared: SharedKernel,
        pstore: Path,
        archive: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`pods` None: a bare host."""
        self._store = store
        self._facts = facts
        self._node = node
        self._pods = pods
        self._namespace = operator_namespace
        self._listener = listener
        self._shared = shared
        self._pstore = pstore
        self._archive = archive
        self._clock = clock
        self._wall = wall
        self._look_at = clock()
        self._names: frozenset[str] = frozenset()
        self._waiting: dict[str, _Waiting] = {}

    def tick(self) -> None:
        """Look for new records when it is time, and count those whose pod is settled."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        for identity, waiting in list(self._waiting.items()):
            self._settle(identity, waiting)

    def deadline(self) -> float:
        """Return the seconds until `tick` has something to do."""
        look = self._look_at - self._clock()
        return max(0.0, min(look, 1.0) if self._waiting else look)

    def _look(self) -> None:
        names = frozenset(record_files(pstore=self._pstore, archive=self._archive))
        if names <= self._names:
            return
        self._names = names
        seen = set(panics_of(self._store).seen)
        for dump in read_dumps(pstore=self._pstore, archive=self._archive):
            if dump.identity in seen or dump.identity in self._waiting:
                continue
            kill = oom_panic(dump)
            if kill is None:
                continue
            written = dump.time if dump.time is not None else self._wall()
            if self._wall() - written > MAX_AGE_SECONDS:
                log.info("old panic ignored", record=dump.files[0].name, panicked_at=rfc3339(written))
                continue
            self._waiting[dump.identity] = _Waiting(kill, rfc3339(written))
            self._note_found(dump.identity, rfc3339(written))

    def _note_found(self, identity: str, when: str) -> None:
        """Note the panic for the panic breaker. It does not wait until the pods of the node are known."""
        note = panics_of(self._store)
        if identity not in note.found:
            found = dict(list({**note.found, identity: when}.items())[-MAX_FOUND:])
            self._store.put_note(PANICS_NOTE, replace(note, found=found))

    def _settle(self, identity: str, waiting: _Waiting) -> None:
        subject = self._subject(waiting)
        if subject is None:
            return
        del self._waiting[identity]
        if subject.pod is None and not self._shared.publishes(waiting.kill):
            with self._store.transaction():
                self._note(identity, last=None)
            return
        record = self._count(identity, waiting, subject)
        log.warning(
            "panic recorded",
            id=record.id,
            cause=record.cause,
            pod=subject.pod.facts.name if subject.pod else None,
            panicked_at=waiting.when,
            panic=waiting.kill.panic,
        )
        self._listener.kill_recorded(record)

    def _subject(self, waiting: _Waiting) -> Subject | None:
        """Return whose limit it was; None while the pod may still become known."""
        kill = waiting.kill
        attribution = attribute(
            kill, node=self._node, pods=self._pods, node_container=self._shared.container_id
        )
        if attribution.waiting_for is None:
            return attribution.subject
        if (self._pods is not None and not self._pods.synced) or attribution.waiting_for == "workload":
            return None
        if waiting.since is None:
            waiting.since = self._clock()
        return attribution.subject if self._clock() - waiting.since >= ATTRIBUTE_SECONDS else None

    def _count(self, identity: str, waiting: _Waiting, subject: Subject) -> RecordedKill:
        boot_id = self._store.boot_before(self._facts.boot_id, waiting.when)
        record = record_of(
            waiting.kill,
            kill_id=f"{PANIC_ID}{identity}",
            when=waiting.when,
            subject=subject,
            facts=self._facts,
            boot_id=boot_id,
            before_install=waiting.when < (self._store.account().since or ""),
        )
        last = LastPanic(time=waiting.when, boot_id=boot_id, cause=record.cause, message=record.summary)
        with self._store.transaction():
            store_kill(
                self._store,
                record=record,
                when=waiting.when,
                subject=subject,
                operator_namespace=self._namespace,
                wall=self._wall(),
            )
            self._note(identity, last=last)
        return record

    def _note(self, identity: str, *, last: LastPanic | None) -> None:
        """Within the transaction that counts the panic (`last` None: another node counts it)."""
        note = panics_of(self._store)
        note = replace(note, seen=(*note.seen, identity)[-MAX_SEEN:])
        if last is not None:
            newest = last if note.last is None or note.last.time <= last.time else note.last
            times = tuple(sorted((*note.times, last.time), key=parse_rfc3339))[-MAX_TIMES:]
            note = replace(note, count=note.count + 1, last=newest, times=times)
        self._store.put_note(PANICS_NOTE, note, published=True)


def panics_of(store: Store) -> PanicNote:
    """Return the note on the panics found so far."""
    return store.note(PANICS_NOTE, PanicNote) or PanicNote()


def oom_panic(dump: Dump) -> Kill | None:
    """Return the OOM event that ended in the panic; None for a dump of anything else."""
    kill = next((kill for kill in parse_records(dump.records()) if kill.panic is not None), None)
    if kill is None or dump.whole:
        return kill
    return kill._replace(complete=False)
