"""Keep oom_score_adj of the processes that the policies name, and give it back when none names them.

A process's value before the first write is noted in the store, and so before that write: a crash in between
leaves a note that does no harm. A child takes its parent's value at fork; one that was born with a value of
ours is noted with what its parent had before us, or it would keep ours for ever.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from oomkeeper.kernel.oomscore import OomScoreError, Process, ProcessId, read_process, write_adj
from oomkeeper.logformat import get_logger

from ..drift import DriftHistory, fight_message
from ..store import Store
from .entry import AdjustmentEntry
from .entry_status import AdjustmentStatus, Steady
from .inheritance import Held, heirs_of, inherited, relatives_of
from .targets import Target, Targets

log = get_logger(__name__)

ROUNDS = 3
"""Looks in one go, as long as there is something to write: a fork between look and write has the old
value."""
RETRY_SECONDS = 60.0
"""Before a value that the kernel did not take is tried again."""

BOOT_NOTE = "adjustments of boot"
KEEP_NOTE = "adjustments kept on release"
"""Ids of rules with onRelease Keep: when they are gone, nobody else can tell."""
CHANGING_NOTE = "adjustments being changed"
"""Values that are about to be replaced by others: after a crash a process may have the one or the other."""


@dataclass(slots=True)
class _ProcessCounts:
    in_force: int = 0
    failed: int = 0
    left: int = 0
    overridden: int = 0
    by: set[str] = field(default_factory=set)
    error: OomScoreError | None = None


class _Write(NamedTuple):
    process: Process
    value: int
    original: int
    rule: AdjustmentEntry


class OomScoreAdjEnforcer:
    """Used from the agent's loop."""

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
        """Process -> value that was not taken, why, and when to try again."""
        self._drifts: dict[ProcessId, DriftHistory] = {}
        self._steady = Steady(clock=clock)
        self._said: dict[str, tuple[str, str | None]] = {}
        self._stuck: OomScoreError | None = None
        if store.note(BOOT_NOTE) not in (None, boot_id):
            # Of an earlier boot: its pids and start times are others' now.
            with store.transaction():
                for pid, start_time in store.adjustments():
                    store.drop_adjustment(pid=pid, start_time=start_time)
        store.put_note(BOOT_NOTE, boot_id)

    @property
    def problem(self) -> str | None:
        """Why values cannot be given back; None where they can."""
        return (
            f"values that no policy holds any more cannot be given back: {self._stuck}"
            if self._stuck
            else None
        )

    def reconcile(
        self, rules: Sequence[AdjustmentEntry], *, host: bool = True
    ) -> tuple[AdjustmentStatus, ...]:
        """Adjust what the rules name now and restore what they name no more; of two rules that name a process
        the first decides, but for those that only audit. `host`: whether the host's own processes are this
        node's. Never raises for what one process does."""
        if not rules and not self._held():
            self._stuck = None
            return self._show(())
        enforcing = [rule for rule in rules if not rule.audits]
        for _ in range(ROUNDS):
            named = dict(zip((rule.id for rule in rules), self._targets.find(rules, host=host), strict=True))
            counts, wrote = self._pass(enforcing, named)
            if not wrote:
                break
        views = tuple(
            self._audit(rule, named[rule.id])
            if rule.audits
            else _enforced(rule, named[rule.id], counts[rule.id])
            for rule in rules
        )
        return self._show(views)

    def restore(self) -> None:
        """Give everything back, whatever its policy said of release."""
        self._store.put_note(KEEP_NOTE, [])
        self._pass([], {})

    def _held(self) -> dict[ProcessId, Held]:
        return {ProcessId(*key): Held(*row) for key, row in self._store.adjustments().items()}

    def _pass(
        self, rules: Sequence[AdjustmentEntry], named: Mapping[str, Target]
    ) -> tuple[dict[str, _ProcessCounts], bool]:
        """One look and what follows from it; whether anything was written."""
        held = self._held()
        family = {one.pid: (one.start_time, row) for one, row in held.items()}
        unsure = {rule for rule, target in named.items() if not target.complete}
        reserved = {one.pid: row.rule for one, row in held.items() if row.rule in unsure}
        claims: dict[int, AdjustmentEntry] = {}
        counts = {rule.id: _ProcessCounts() for rule in rules}
        live: set[ProcessId] = set()
        writes: list[_Write] = []
        heirs: list[_Write] = []
        pending: dict[str, AdjustmentEntry] = {}
        for rule in rules:
            count = counts[rule.id]
            for group in named[rule.id].groups:
                # What a rule of higher standing has, and cannot tell at the moment, stays with it.
                claims |= {pid: pending[reserved[pid]] for pid in group if reserved.get(pid) in pending}
                mine = [pid for pid in group if pid not in claims]
                taken = [claims[pid] for pid in group if pid in claims]
                lost = [winner.id for winner in taken if winner.value != rule.value]
                count.in_force += len(taken) - len(lost)
                count.overridden += len(lost)
                count.by |= set(lost)
                claims |= dict.fromkeys(mine, rule)
                relatives = relatives_of(mine, family)
                for pid in mine:
                    process = read_process(pid, proc=self._proc)
                    if process is None or process.kernel_thread:
                        continue
                    live.add(process.id)
                    self._judge(process, rule, count, held, relatives, writes=writes, heirs=heirs)
            if rule.id in unsure:
                pending[rule.id] = rule
        wrote = self._write(writes, heirs, counts, held)
        rest = {one: row for one, row in held.items() if one not in live}
        self._release(rest, live=live, unsure=unsure)
        self._store.put_note(KEEP_NOTE, sorted(rule.id for rule in rules if rule.on_release == "Keep"))
        known = live | rest.keys()
        self._failed = {one: failed for one, failed in self._failed.items() if one in known}
        self._drifts = {one: drifts for one, drifts in self._drifts.items() if one in known}
        return counts, wrote

    def _judge(
        self,
        process: Process,
        rule: AdjustmentEntry,
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
        if process.adj == rule.value:
            count.in_force += 1
            self._failed.pop(process.id, None)
            if original is not None and (known is None or known[1:] != (rule.value, rule.id)):
                heirs.append(_Write(process, rule.value, original, rule))
            return
        if known is not None and known[1:] == (rule.value, rule.id) and self._is_fight(process.id):
            count.left += 1
            return
        failed = self._failed.get(process.id)
        if failed is not None and failed[0] == rule.value and self._clock() < failed[2]:
            count.failed += 1
            count.error = failed[1]
            return
        writes.append(_Write(process, rule.value, process.adj if original is None else original, rule))

    def _is_fight(self, process: ProcessId) -> bool:
        """Note that another writer has changed it; return whether it is left to that writer."""
        before = self._drifts.get(process, DriftHistory()).recent(self._clock())
        self._drifts[process] = before.add(self._clock())
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
                self._note(one.process.id, Held(one.original, one.value, one.rule.id))
        done: Counter[tuple[str, int]] = Counter()
        undone: list[ProcessId] = []
        for one in writes:
            count = counts[one.rule.id]
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
                done[one.rule.id, one.value] += 1
        with self._store.transaction():
            for process in undone:
                if process in held:
                    self._note(process, held[process])
                else:
                    self._store.drop_adjustment(pid=process.pid, start_time=process.start_time)
            self._store.put_note(CHANGING_NOTE, [])
        for (rule_id, value), processes in done.items():
            log.info("oom_score_adj set", rule=rule_id, value=value, processes=processes)
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
        return self._store.note(CHANGING_NOTE) or []

    def _release(
        self, held: Mapping[ProcessId, Held], *, live: Collection[ProcessId], unsure: Collection[str]
    ) -> None:
        """Let go of processes: dead, or named no more. Of the rules that are `unsure`, only the dead."""
        self._stuck = None
        kept, changing = set(self._store.note(KEEP_NOTE) or ()), self._changing()
        let_go: list[ProcessId] = []
        parents: dict[int, Held] = {}
        done: Counter[str] = Counter()
        for id, row in held.items():
            process = read_process(id.pid, proc=self._proc)
            if process is not None and process.id == id:
                if row.rule in unsure:
                    continue
                # A value that somebody else has set since is theirs.
                ours = process.adj in (row.applied, *changing) and process.adj != row.original
                if row.rule not in kept:
                    if ours and not self._give_back(id, row.original):
                        continue
                    done[row.rule] += ours
                    parents[id.pid] = row
            let_go.append(id)
        # Born since the last look, or while no agent ran: nobody has noted them.
        for process, row in heirs_of(parents, proc=self._proc) if parents else ():
            if process.id not in held and process.id not in live and process.adj != row.original:
                done[row.rule] += self._give_back(process.id, row.original)
        if let_go:
            with self._store.transaction():
                for id in let_go:
                    self._store.drop_adjustment(pid=id.pid, start_time=id.start_time)
        for rule, processes in done.items():
            if processes:
                log.info("oom_score_adj restored", rule=rule, processes=processes)

    def _give_back(self, process: ProcessId, original: int) -> bool:
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

    def _audit(self, rule: AdjustmentEntry, target: Target) -> AdjustmentStatus:
        """Compare with what is in force, whoever decides it."""
        found = [
            process
            for pid in {pid for group in target.groups for pid in group}
            if (process := read_process(pid, proc=self._proc)) is not None and not process.kernel_thread
        ]
        differing = sum(process.adj != rule.value for process in found)
        return _view(
            rule,
            target,
            state=_problem_state(target) or ("Audited" if differing else "InSync"),
            in_force=len(found) - differing,
            differing=differing,
        )

    def _show(self, views: tuple[AdjustmentStatus, ...]) -> tuple[AdjustmentStatus, ...]:
        for view in views:
            said = (view.state, view.reason)
            if self._said.get(f"{view.policy}/{view.name}", ("InSync", None)) != said:
                level = logging.INFO if view.state in ("InSync", "Audited", "Pending") else logging.WARNING
                log.log(
                    level,
                    "adjustment state changed",
                    rule=f"{view.policy}/{view.name}",
                    state=view.state,
                    reason=view.reason,
                    detail=view.message,
                )
        self._said = {f"{view.policy}/{view.name}": (view.state, view.reason) for view in views}
        return self._steady.show(views)


def _problem_state(target: Target) -> str | None:
    return "Refused" if target.refused else None if target.complete else "Pending"


def _enforced(rule: AdjustmentEntry, target: Target, count: _ProcessCounts) -> AdjustmentStatus:
    state, reason, message = _problem_state(target), target.reason, target.message
    if count.error is not None:
        state, reason, message = "Refused", count.error.reason, str(count.error)
    elif state is None and count.left:
        state, reason = "Drifted", "FightingForeignWriter"
        message = fight_message()
    return _view(
        rule,
        target,
        state=state or "InSync",
        reason=reason,
        message=message,
        in_force=count.in_force,
        failed=count.failed + count.left,
        overridden=count.overridden,
        overridden_by=min(count.by, default=None),
    )


def _view(rule: AdjustmentEntry, target: Target, *, state: str, **fields: object) -> AdjustmentStatus:
    given = {"reason": target.reason, "message": target.message, **fields}
    return AdjustmentStatus(
        policy=rule.policy,
        name=rule.name,
        value=rule.value,
        mode=rule.mode,
        state=state,
        pods=target.pods,
        **given,  # type: ignore[arg-type]
    )
