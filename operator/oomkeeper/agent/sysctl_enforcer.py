"""Keep the node's sysctls at their desired values: apply them, correct drift, and restore what no policy sets
any more.

The store notes the value found in this boot before the first write, and does so before that write: a crash in
between leaves a note that does no harm."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from oomkeeper.kernel.meminfo import NodeMemory
from oomkeeper.kernel.sysctl import SysctlError, Sysctls, find_setting, render_drop_in, write_drop_in
from oomkeeper.logformat import EventLogger, get_logger
from oomkeeper.model.policy import Mode, OnRelease, Persistence, SysctlState
from oomkeeper.model.sysctl_allow_list import SYSCTL_RULES
from oomkeeper.resources.oomnode import DesiredSysctl, ObservedSysctl

from .clock import rfc3339
from .desired import Desired
from .drift import DriftHistory, fight_message
from .kubelet import KubeletFacts
from .records import SysctlNote
from .refusal import Refusal
from .sysctl_capacity import DEPENDS_ON_MEMORY, refuse_beyond_capacity
from .sysctl_order import (
    PANIC_ON_OOM,
    PANIC_SECONDS,
    apply_order,
    may_become,
    release_order,
    with_panic_seconds,
)
from .sysctl_safety import refuse

log = get_logger(__name__)
_SILENT = EventLogger(logging.Logger("rehearsal", level=logging.CRITICAL + 1))

FIGHT = "FightingForeignWriter"
"""Reason of a value that is left to another writer (drift.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlPass:
    """What one pass found and did."""

    statuses: tuple[ObservedSysctl, ...] = ()
    persistent_problem: str | None = None
    """Why the drop-in could not be written; None where it could or need not be."""
    wants_persistence: bool = False
    released: Mapping[str, int] = field(default_factory=dict)
    """Keys released in this pass, with the value left in force."""


class SysctlNotes(Protocol):
    """What the enforcer needs of the store."""

    def sysctls(self) -> dict[str, SysctlNote]:
        """Return what is noted of each sysctl."""

    def put_sysctl(self, key: str, note: SysctlNote) -> None:
        """Note it."""

    def drop_sysctl(self, key: str) -> None:
        """Forget it."""


class SysctlEnforcer:
    """Used from one thread, the only writer of these sysctls on the node as far as oomkeeper is concerned."""

    def __init__(
        self,
        *,
        store: SysctlNotes,
        sysctls: Sysctls,
        boot_id: str,
        memory: Callable[[], NodeMemory],
        etc: Path = Path("/etc"),
        rehearses: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock` counts from the boot and is never set: drift fights outlive a restart of the agent.
        `rehearses`: writes no drop-in and logs nothing, for a plan on copies (plan/rehearsal.py)."""
        self._store = store
        self._sysctls = sysctls
        self._memory = memory
        self._etc = etc
        self._rehearses = rehearses
        self._log = _SILENT if rehearses else log
        self._boot_id = boot_id
        self._clock = clock
        self._wall = wall
        self._kubelet_expected = False

    def reconcile(
        self, desired: Desired, *, kubelet: KubeletFacts | None, kubelet_expected: bool = False
    ) -> SysctlPass:
        """Make one pass over every key that is desired or still held. Never raises for what one key does.

        `kubelet_expected`: this host is a node of a cluster; with no `kubelet` found, kubelet's own keys are
        refused.
        """
        self._kubelet_expected = kubelet_expected
        notes = self._store.sysctls()
        wanted = apply_order(desired.sysctls)
        statuses = {
            one.name: self._enforce(one, stored=notes.get(one.name), kubelet=kubelet) for one in wanted
        }
        released: dict[str, int] = {}
        for key in release_order(notes):
            status = statuses.get(key)
            if status is not None and status.mode == Mode.ENFORCE and status.state != SysctlState.REFUSED:
                continue
            refused = status is not None and status.state == SysctlState.REFUSED
            value = self._release(key, notes[key], restore=refused or notes[key].on_release != OnRelease.KEEP)
            if value is not None:
                released[key] = value
                if status is not None:
                    statuses[key] = replace(status, actual=value, state=_audit_state(status, value))
            elif status is None:
                statuses[key] = self._unreleased(key, notes[key])
        persist = {
            one.name: one
            for one in wanted
            if one.persistence == Persistence.PERSISTENT
            and one.mode != Mode.AUDIT
            and statuses[one.name].state == SysctlState.IN_SYNC
        }
        problem = self._write_drop_in(persist)
        return SysctlPass(
            statuses=tuple(
                replace(statuses[key], persisted=problem is None and key in persist)
                for key in sorted(statuses)
            ),
            persistent_problem=problem,
            wants_persistence=bool(persist),
            released=released,
        )

    def restore(self) -> dict[str, int]:
        """Restore every key still held, whatever its policy's onRelease, and remove the drop-in.

        Returns key -> value now in force.
        """
        notes = self._store.sysctls()
        restored = {}
        for key in release_order(notes):
            value = self._release(key, notes[key], restore=True)
            if value is not None:
                restored[key] = value
        problem = self._write_drop_in({})
        if problem is not None:
            self._log.warning("drop-in not removed", error=problem)
        return restored

    # -- one key

    def _enforce(
        self, wanted: DesiredSysctl, *, stored: SysctlNote | None, kubelet: KubeletFacts | None
    ) -> ObservedSysctl:
        try:
            actual = self._sysctls.read(wanted.name)
        except SysctlError as error:
            return replace(
                _status(wanted, stored),
                state=SysctlState.UNSUPPORTED if error.missing else SysctlState.PENDING,
                reason="NotReadable",
                message=str(error),
            )
        note = self._note_of_this_boot(stored, actual=actual)
        status = replace(_status(wanted, note if stored else None), actual=actual)
        if wanted.mode == Mode.AUDIT:
            return replace(status, state=_audit_state(status, actual))
        refusal = self._refusal(wanted, kubelet=kubelet, in_force=actual == wanted.value)
        if refusal is not None:
            return replace(status, state=SysctlState.REFUSED, reason=refusal.reason, message=refusal.message)
        drifted = note.applied == wanted.value and actual != wanted.value
        if drifted:
            note = self._with_drift(wanted, note, actual=actual, kubelet=kubelet)
        note = replace(note, policy=wanted.policy, on_release=wanted.on_release)
        in_sync = actual == wanted.value
        # Noted only when the value is in force: one that could not be written is no drift later.
        applied = replace(
            note,
            applied=wanted.value,
            kubelet_start=self._kubelet_at_write(note, kubelet=kubelet, in_sync=in_sync),
        )
        if in_sync or drifted:
            note = applied
        if note != stored:
            self._store.put_sysctl(wanted.name, note)
        status = replace(_status(wanted, note), actual=actual)
        if in_sync:
            return status
        if self._drifts(note).is_fight:
            return replace(
                status,
                state=SysctlState.DRIFTED,
                reason=FIGHT,
                message=fight_message(note.suspected_writer),
            )
        try:
            self._sysctls.write(wanted.name, wanted.value)
        except SysctlError as error:
            return replace(status, state=SysctlState.DRIFTED, reason="WriteFailed", message=str(error))
        if note != applied:
            self._store.put_sysctl(wanted.name, applied)
        self._log.info(
            "sysctl set",
            key=wanted.name,
            value=wanted.value,
            was=actual,
            policy=wanted.policy,
            drift=drifted,
        )
        return replace(status, actual=wanted.value)

    def _note_of_this_boot(self, note: SysctlNote | None, *, actual: int) -> SysctlNote:
        """Return the note, or a new one. After a reboot the value found is the original, for the boot has set
        it anew; only where it equals the value written before may our own drop-in have set it."""
        if note is None:
            return SysctlNote(original=actual, boot=self._boot_id)
        if note.boot == self._boot_id:
            return note
        ours = actual == note.applied
        return replace(
            note,
            original=note.original if ours else actual,
            applied=note.applied if ours else None,
            boot=self._boot_id,
            kubelet_start=None,
            drifts=(),
        )

    def _refusal(
        self, wanted: DesiredSysctl, *, kubelet: KubeletFacts | None, in_force: bool
    ) -> Refusal | None:
        refusal = refuse(
            wanted,
            kubelet=kubelet,
            kubelet_expected=self._kubelet_expected,
            kernel_panic_seconds=self._value(PANIC_SECONDS),
            panic_on_oom=self._value(PANIC_ON_OOM),
        )
        if refusal is not None or in_force or wanted.name not in DEPENDS_ON_MEMORY:
            # A value in force is borne already; what is committed changes all the time.
            return refusal
        try:
            memory = self._memory()
        except OSError as error:
            return Refusal("MemoryUnknown", f"/proc/meminfo: {error.strerror or error}")
        return refuse_beyond_capacity(
            wanted,
            memory=memory,
            overcommit_memory=self._value("vm.overcommit_memory"),
            overcommit_ratio=self._value("vm.overcommit_ratio"),
        )

    def _kubelet_at_write(
        self, note: SysctlNote, *, kubelet: KubeletFacts | None, in_sync: bool
    ) -> int | None:
        """Return the start of the kubelet that ran when the value was last set.

        A kubelet that has started since is not noted while the value is in force: it writes its own values
        some seconds after its start (container manager, setupKernelTunables), and is the suspect until then.
        """
        if in_sync and note.kubelet_start is not None:
            return note.kubelet_start
        return kubelet.start_time if kubelet else None

    def _with_drift(
        self, wanted: DesiredSysctl, note: SysctlNote, *, actual: int, kubelet: KubeletFacts | None
    ) -> SysctlNote:
        before = self._drifts(note)
        restarted = kubelet is not None and kubelet.start_time != note.kubelet_start
        writer = self._suspect(wanted.name, actual, kubelet=kubelet, restarted=restarted)
        self._log.log(
            logging.DEBUG if before.is_fight else logging.WARNING,
            "sysctl drifted",
            key=wanted.name,
            desired=wanted.value,
            actual=actual,
            suspected_writer=writer,
        )
        note = replace(note, drifts=before.add(self._clock()).times, suspected_writer=writer)
        if before.is_fight:
            return note
        return replace(note, drift_count=note.drift_count + 1, last_drift=rfc3339(self._wall()))

    def _drifts(self, note: SysctlNote) -> DriftHistory:
        return DriftHistory(note.drifts).recent(self._clock())

    def _suspect(self, key: str, actual: int, *, kubelet: KubeletFacts | None, restarted: bool) -> str:
        if kubelet is not None and restarted and SYSCTL_RULES[key].kubelet_value == actual:
            return f"kubelet (restarted, pid {kubelet.pid})"
        setting = find_setting(key, etc=self._etc)
        if setting is not None and setting[1] == actual:
            return f"/etc/{setting[0].relative_to(self._etc)} (applied again)"
        if kubelet is not None and SYSCTL_RULES[key].kubelet_value == actual:
            return "kubelet or another writer of its value"
        return "unknown"

    def _release(self, key: str, note: SysctlNote, *, restore: bool) -> int | None:
        """Release a key; return the value then in force, or None while it could not be released."""
        try:
            value = self._sysctls.read(key)
            original = self._note_of_this_boot(note, actual=value).original
            if restore and value != original:
                if not may_become(key, original, panic_on_oom=self._value(PANIC_ON_OOM)):
                    self._log.warning("sysctl not restored", key=key, error="vm.panic_on_oom is still set")
                    return None
                self._sysctls.write(key, original)
                self._log.info("sysctl restored", key=key, value=original)
                value = original
        except SysctlError as error:
            if not error.missing:
                self._log.warning("sysctl not restored", key=key, error=error)
                return None
            value = note.original
        self._store.drop_sysctl(key)
        return value

    def _unreleased(self, key: str, note: SysctlNote) -> ObservedSysctl:
        """Return the status of a key that no policy sets any more and that could not be restored yet."""
        return ObservedSysctl(
            name=key,
            desired=note.original,
            actual=self._value(key),
            original=note.original,
            policy=note.policy or None,
            mode=Mode.ENFORCE,
            state=SysctlState.PENDING,
            reason="NotRestored",
            message=f"no policy sets it any more, but the original value {note.original} could not be "
            "written yet; retried",
        )

    def _value(self, key: str) -> int | None:
        """Return a value in force; None where it cannot be read."""
        try:
            return self._sysctls.read(key)
        except SysctlError:
            return None

    def _write_drop_in(self, persist: Mapping[str, DesiredSysctl]) -> str | None:
        """Write the drop-in; return why it could not be written."""
        values = with_panic_seconds(
            {key: one.value for key, one in persist.items()}, panic_seconds=self._value(PANIC_SECONDS)
        )
        policies = {key: f"policy {one.policy}" for key, one in persist.items()}
        if PANIC_SECONDS not in policies and PANIC_ON_OOM in policies:
            policies[PANIC_SECONDS] = f"{policies[PANIC_ON_OOM]}, for a panic to end in a reboot"
        if self._rehearses:
            return None
        folder = self._etc / "sysctl.d"
        try:
            if write_drop_in(render_drop_in(values, policies) if values else None, folder=folder):
                self._log.info("drop-in changed", folder=folder, keys=sorted(values))
        except OSError as error:
            return f"{folder}: {error.strerror or error}"
        return None


def _status(wanted: DesiredSysctl, note: SysctlNote | None) -> ObservedSysctl:
    """Return the status of a value in force, with what is noted of it."""
    return ObservedSysctl(
        name=wanted.name,
        desired=wanted.value,
        original=note.original if note else None,
        policy=wanted.policy,
        mode=wanted.mode,
        state=SysctlState.IN_SYNC,
        drift_count=note.drift_count if note else 0,
        last_drift_time=note.last_drift if note else None,
        suspected_writer=note.suspected_writer if note else None,
    )


def _audit_state(status: ObservedSysctl, actual: int) -> SysctlState:
    if status.state == SysctlState.REFUSED:
        return SysctlState.REFUSED
    return SysctlState.IN_SYNC if actual == status.desired else SysctlState.AUDITED
