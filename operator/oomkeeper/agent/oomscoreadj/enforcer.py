"""Keep oom_score_adj of the processes that policies name, and restore it when none names them.

A process's value before the first write is noted in the store before that write: a crash in between leaves a
note that does no harm. A child takes its parent's value at fork; a child born with a value of ours is noted
with what its parent had before, or it would keep our value for its whole life."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from oomkeeper.kernel.oomscore import OomScoreError, Process, ProcessId, read_process, write_adj
from oomkeeper.logformat import get_logger
from oomkeeper.model.policy import AdjustmentState, Mode, OnRelease
from oomkeeper.resources.oomnode import DesiredAdjustment, ObservedAdjustment

from ..drift import DriftHistory, fight_message
from ..store import Store
from .entry import entry_id
from .inheritance import Held, heirs_of, inherited, relatives_of
from .status_coalescer import StatusCoalescer
from .targets import Target, Targets

log = get_logger(__name__)

ROUNDS = 3
"""Looks in one pass, as long as there is something to write: a fork between look and write has the old
value."""
RETRY_SECONDS = 60.0
"""Before a value that the kernel rejected is tried again."""

BOOT_NOTE = "adjustments of boot"
KEEP_NOTE = "adjustments kept on release"
"""Ids of entries with onRelease Keep: when they are gone, this is the only record of it."""
CHANGING_NOTE = "adjustments being changed"
"""Values that are about to be replaced by others: after a crash a process may have the one or the other."""


@dataclass(slots=True)
class _ProcessCounts:
    """The processes that one entry names, by what became of them."""

    in_force: int = 0
    failed: int = 0
    fought_over: int = 0
    overridden: int = 0
    overridden_by: set[str] = field(default_factory=set)
    error: OomScoreError | None = None


class _Write(NamedTuple):
    process: Process
    value: int
    original: int
    entry: DesiredAdjustment


class OomScoreAdjEnforcer:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        targets: Targets,
        boot_id: str,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._targets = targets
        self._proc = proc
        self._clock = clock
        self._failed: dict[ProcessId, tuple[int, OomScoreError, float]] = {}
        """Process -> value that the kernel rejected, why, and when to try again."""
        self._drifts: dict[ProcessId, DriftHistory] = {}
        self._coalescer = StatusCoalescer(clock=clock)
        self._logged: dict[str, tuple[str, str | None]] = {}
        self._stuck: OomScoreError | None = None
        if store.note(BOOT_NOTE, str) not in (None, boot_id):
            # Of an earlier boot: its pids and start times belong to other processes now.
            with store.transaction():
                for pid, start_time in store.adjustments():
                    store.drop_adjustment(pid=pid, start_time=start_time)
        store.put_note(BOOT_NOTE, boot_id)

    @property
    def problem(self) -> str | None:
        """Why values cannot be restored; None where they can."""
        return (
            f"values that no policy sets any more cannot be restored: {self._stuck}" if self._stuck else None
        )

    def reconcile(
        self, entries: Sequence[DesiredAdjustment], *, host: bool = True
    ) -> tuple[ObservedAdjustment, ...]:
        """Adjust what the entries name now and restore what they name no more.

        Of two entries that name a process the first decides; entries in mode Audit decide nothing. `host`:
        whether the host's own processes are this node's. Never raises for what one process does."""
        if not entries and not self._held():
            self._stuck = None
            return self._show(())
        enforcing = [entry for entry in entries if entry.mode != Mode.AUDIT]
        ids = [*map(entry_id, entries)]
        for _ in range(ROUNDS):
            named = dict(zip(ids, self._targets.find(entries, host=host), strict=True))
            counts, wrote = self._pass(enforcing, named)
            if not wrote:
                break
        return self._show(
            tuple(
                self._audit(entry, named[id])
                if entry.mode == Mode.AUDIT
                else _enforced(entry, named[id], counts[id])
                for id, entry in zip(ids, entries, strict=True)
            )
        )

    def restore(self) -> None:
        """Restore every value, whatever onRelease of its entry."""
        self._store.put_note(KEEP_NOTE, [])
        self._pass([], {})

    def _held(self) -> dict[ProcessId, Held]:
        return {ProcessId(*key): Held(*row) for key, row in self._store.adjustments().items()}

    def _pass(
        self, entries: Sequence[DesiredAdjustment], named: Mapping[str, Target]
    ) -> tuple[dict[str, _ProcessCounts], bool]:
        """Look once and act on it; return the counts by entry, and whether anything was written."""
        held = self._held()
        family = {one.pid: (one.start_time, row) for one, row in held.items()}
        unsure = {id for id, target in named.items() if not target.complete}
        reserved = {one.pid: row.rule for one, row in held.items() if row.rule in unsure}
        claims: dict[int, DesiredAdjustment] = {}
        counts = {entry_id(entry): _ProcessCounts() for entry in entries}
        live: set[ProcessId] = set()
        writes: list[_Write] = []
        heirs: list[_Write] = []
        pending: dict[str, DesiredAdjustment] = {}
        for entry in entries:
            id = entry_id(entry)
            count = counts[id]
            for group in named[id].groups:
                # What an entry of higher precedence has, and cannot name at the moment, stays with it.
                claims |= {pid: pending[reserved[pid]] for pid in group if reserved.get(pid) in pending}
                mine = [pid for pid in group if pid not in claims]
                taken = [claims[pid] for pid in group if pid in claims]
                lost = [entry_id(winner) for winner in taken if winner.value != entry.value]
                count.in_force += len(taken) - len(lost)
                count.overridden += len(lost)
                count.overridden_by |= set(lost)
                claims |= dict.fromkeys(mine, entry)
                relatives = relatives_of(mine, family)
                for pid in mine:
                    process = read_process(pid, proc=self._proc)
                    if process is None or process.kernel_thread:
                        continue
                    live.add(process.id)
                    self._sort(process, entry, count, held, relatives, writes=writes, heirs=heirs)
            if id in unsure:
                pending[id] = entry
        wrote = self._write(writes, heirs, counts, held)
        rest = {one: row for one, row in held.items() if one not in live}
        self._release(rest, live=live, unsure=unsure)
        kept = sorted(entry_id(entry) for entry in entries if entry.on_release == OnRelease.KEEP)
        self._store.put_note(KEEP_NOTE, kept)
        known = live | rest.keys()
        self._failed = {one: failed for one, failed in self._failed.items() if one in known}
        self._drifts = {one: drifts for one, drifts in self._drifts.items() if one in known}
        return counts, wrote

    def _sort(
        self,
        process: Process,
        entry: DesiredAdjustment,
        count: _ProcessCounts,
        held: Mapping[ProcessId, Held],
        relatives: Mapping[int, Held],
        *,
        writes: list[_Write],
        heirs: list[_Write],
    ) -> None:
        """Sort one process: in force, to be written, or left alone."""
        known = held.get(process.id)
        original = known.original if known else inherited(process, relatives)
        ours = (entry.value, entry_id(entry))
        if process.adj == entry.value:
            count.in_force += 1
            self._failed.pop(process.id, None)
            if original is not None and (known is None or known[1:] != ours):
                heirs.append(_Write(process, entry.value, original, entry))
            return
        if known is not None and known[1:] == ours and self._is_fight(process.id):
            count.fought_over += 1
            return
        failed = self._failed.get(process.id)
        if failed is not None and failed[0] == entry.value and self._clock() < failed[2]:
            count.failed += 1
            count.error = failed[1]
            return
        writes.append(_Write(process, entry.value, process.adj if original is None else original, entry))

    def _is_fight(self, process: ProcessId) -> bool:
        """Note that another writer has changed it; return whether it is left to that writer."""
        now = self._clock()
        before = self._drifts.get(process, DriftHistory()).recent(now)
        self._drifts[process] = before.add(now)
        return before.is_fight

    def _write(
        self,
        writes: Sequence[_Write],
        heirs: Sequence[_Write],
        counts: Mapping[str, _ProcessCounts],
        held: Mapping[ProcessId, Held],
    ) -> bool:
        if not writes and not heirs:
            return False
        replaced = {
            held[one.process.id].applied
            for one in writes
            if one.process.id in held and held[one.process.id].applied != one.value
        }
        with self._store.transaction():
            if replaced:
                self._store.put_note(CHANGING_NOTE, sorted({*self._changing(), *replaced}))
            for one in (*writes, *heirs):
                self._note(one.process.id, Held(one.original, one.value, entry_id(one.entry)))
        done: Counter[tuple[str, int]] = Counter()
        undone: list[ProcessId] = []
        for one in writes:
            count = counts[entry_id(one.entry)]
            try:
                alive = write_adj(one.process.id, one.value, proc=self._proc)
            except OomScoreError as error:
                undone.append(one.process.id)
                self._failed[one.process.id] = (one.value, error, self._clock() + RETRY_SECONDS)
                count.failed += 1
                count.error = error
                continue
            if alive:
                count.in_force += 1
                done[entry_id(one.entry), one.value] += 1
        with self._store.transaction():
            for process in undone:
                if process in held:
                    self._note(process, held[process])
                else:
                    self._store.drop_adjustment(pid=process.pid, start_time=process.start_time)
            self._store.put_note(CHANGING_NOTE, [])
        for (id, value), processes in done.items():
            log.info("oom_score_adj set", entry=id, value=value, processes=processes)
        return bool(done)

    def _note(self, process: ProcessId, held: Held) -> None:
        self._store.put_adjustment(
            pid=process.pid,
            start_time=process.start_time,
            original=held.original,
            applied=held.applied,
            name=held.rule,
        )

    def _changing(self) -> list[int]:
        return self._store.note(CHANGING_NOTE, list[int]) or []

    def _release(
        self, held: Mapping[ProcessId, Held], *, live: Collection[ProcessId], unsure: Collection[str]
    ) -> None:
        """Release processes that ended or are not named any more. Of the entries that are `unsure`, only
        those that ended."""
        self._stuck = None
        kept, changing = set(self._store.note(KEEP_NOTE, list[str]) or ()), self._changing()
        released: list[ProcessId] = []
        parents: dict[int, Held] = {}
        done: Counter[str] = Counter()
        for id, row in held.items():
            process = read_process(id.pid, proc=self._proc)
            if process is not None and process.id == id:
                if row.rule in unsure:
                    continue
                # A value that another writer has set since is theirs.
                ours = process.adj in (row.applied, *changing) and process.adj != row.original
                if row.rule not in kept:
                    if ours and not self._restore(id, row.original):
                        continue
                    done[row.rule] += ours
                    parents[id.pid] = row
            released.append(id)
        # Born since the last look, or while no agent ran: they are not noted.
        for process, row in heirs_of(parents, proc=self._proc) if parents else ():
            if process.id not in held and process.id not in live and process.adj != row.original:
                done[row.rule] += self._restore(process.id, row.original)
        if released:
            with self._store.transaction():
                for id in released:
                    self._store.drop_adjustment(pid=id.pid, start_time=id.start_time)
        for entry, processes in done.items():
            if processes:
                log.info("oom_score_adj restored", entry=entry, processes=processes)

    def _restore(self, process: ProcessId, original: int) -> bool:
        failed = self._failed.get(process)
        if failed is not None and failed[0] == original and self._clock() < failed[2]:
            self._stuck = failed[1]
            return False
        try:
            write_adj(process, original, proc=self._proc)
        except OomScoreError as error:
            self._failed[process] = (original, error, self._clock() + RETRY_SECONDS)
            self._stuck = error
            log.warning("oom_score_adj not restored", pid=process.pid, value=original, error=error)
            return False
        return True

    def _audit(self, entry: DesiredAdjustment, target: Target) -> ObservedAdjustment:
        """Compare with the value in force, whichever entry decides it."""
        found = [
            process
            for pid in {pid for group in target.groups for pid in group}
            if (process := read_process(pid, proc=self._proc)) is not None and not process.kernel_thread
        ]
        differing = sum(process.adj != entry.value for process in found)
        otherwise = AdjustmentState.AUDITED if differing else AdjustmentState.IN_SYNC
        return _status(
            entry,
            target,
            state=_target_state(target) or otherwise,
            counts=_ProcessCounts(in_force=len(found) - differing),
            differing=differing,
        )

    def _show(self, statuses: tuple[ObservedAdjustment, ...]) -> tuple[ObservedAdjustment, ...]:
        logged = {f"{one.policy}/{one.name}": (one.state, one.reason) for one in statuses}
        for one in statuses:
            id = f"{one.policy}/{one.name}"
            if self._logged.get(id, (AdjustmentState.IN_SYNC, None)) != logged[id]:
                quiet = one.state in (
                    AdjustmentState.IN_SYNC,
                    AdjustmentState.AUDITED,
                    AdjustmentState.PENDING,
                )
                log.log(
                    logging.INFO if quiet else logging.WARNING,
                    "adjustment state changed",
                    entry=id,
                    state=one.state,
                    reason=one.reason,
                    detail=one.message,
                )
        self._logged = logged
        return self._coalescer.show(statuses)


def _target_state(target: Target) -> AdjustmentState | None:
    if target.refused:
        return AdjustmentState.REFUSED
    return None if target.complete else AdjustmentState.PENDING


def _enforced(entry: DesiredAdjustment, target: Target, counts: _ProcessCounts) -> ObservedAdjustment:
    state, reason, message = _target_state(target), target.reason, target.message
    if counts.error is not None:
        state, reason, message = AdjustmentState.REFUSED, counts.error.reason, str(counts.error)
    elif state is None and counts.fought_over:
        state, reason, message = AdjustmentState.DRIFTED, "FightingForeignWriter", fight_message()
    return _status(
        entry,
        target,
        state=state or AdjustmentState.IN_SYNC,
        counts=counts,
        reason=reason,
        message=message,
    )


def _status(
    entry: DesiredAdjustment,
    target: Target,
    *,
    state: AdjustmentState,
    counts: _ProcessCounts,
    reason: str | None = None,
    message: str | None = None,
    differing: int = 0,
) -> ObservedAdjustment:
    return ObservedAdjustment(
        policy=entry.policy,
        name=entry.name,
        value=entry.value,
        mode=entry.mode,
        state=state,
        reason=reason or target.reason,
        message=message or target.message,
        pods=target.pods,
        in_force=counts.in_force,
        failed=(counts.failed + counts.fought_over) or None,
        overridden=counts.overridden or None,
        overridden_by=min(counts.overridden_by, default=None),
        differing=differing or None,
    )
