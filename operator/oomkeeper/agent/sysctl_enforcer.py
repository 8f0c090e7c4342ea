"""Keep the node's sysctls as desired: apply, put drift back, and give back what no policy holds any more.

The store notes the value found before the first write, and does so before that write: a crash in between
leaves a note that does no harm.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oomkeeper.kernel.sysctl import SysctlError, Sysctls, find_setting, render_drop_in, write_drop_in
from oomkeeper.logformat import get_logger
from oomkeeper.model.sysctl import SYSCTL_RULES

from .clock import rfc3339
from .desired import AUDIT, KEEP, PERSISTENT, Desired, DesiredSysctl
from .drift import DriftHistory, fight_message
from .kubelet import KubeletFacts
from .oomscoreadj.entry_status import AdjustmentStatus
from .store import Store
from .sysctl_safety import refuse

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlView:
    """One key as OOMNode.status.sysctls and `oomkeeper status` show it."""

    key: str
    desired: int | None
    actual: int | None
    original: int | None = None
    policy: str | None = None
    mode: str = "Enforce"
    state: str = "InSync"
    """InSync, Drifted, Pending, Refused, Unsupported, Audited."""
    reason: str | None = None
    message: str | None = None
    persisted: bool = False
    drift_count: int = 0
    last_drift: str | None = None
    suspected_writer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptState:
    """What one pass found and did."""

    views: tuple[SysctlView, ...] = ()
    persistent_problem: str | None = None
    """Why the drop-in could not be written; None where it could or need not be."""
    wants_persistence: bool = False
    adjustments: tuple[AdjustmentStatus, ...] = ()
    """How the oom_score_adj entries stand (adjuster.py)."""
    stuck_adjustments: str | None = None
    """Why values of oom_score_adj cannot be given back; None where they can."""
    released: dict[str, int] = field(default_factory=dict)
    """Keys given back in this pass, with the value left in force."""


class SysctlEnforcer:
    """Used from one thread, the only writer of these sysctls on the node (as far as we have a say)."""

    def __init__(
        self,
        *,
        store: Store,
        sysctls: Sysctls,
        boot_id: str,
        etc: Path = Path("/etc"),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock` counts from the boot and is never set: drift fights outlive a restart of the agent."""
        self._store = store
        self._sysctls = sysctls
        self._etc = etc
        self._boot_id = boot_id
        self._clock = clock
        self._wall = wall
        self._kubelet_expected = False

    def reconcile(
        self, desired: Desired, *, kubelet: KubeletFacts | None, kubelet_expected: bool = False
    ) -> KeptState:
        """Make one pass over every key that is desired or still held. Never raises for what one key does.

        `kubelet_expected`: this host is a node of a cluster; with no `kubelet` found, kubelet's own keys are
        refused.
        """
        self._kubelet_expected = kubelet_expected
        notes = self._store.sysctls()
        # kernel.panic first: whether vm.panic_on_oom may be set depends on it.
        wanted = sorted(desired.sysctls, key=lambda one: (one.key != "kernel.panic", one.key))
        views: dict[str, SysctlView] = {}
        for one in wanted:
            views[one.key] = self._keep(one, note=notes.get(one.key), kubelet=kubelet)
        released: dict[str, int] = {}
        for key, note in notes.items():
            view = views.get(key)
            if "original" in note and (
                view is None or view.state in ("Audited", "Refused") or view.mode == AUDIT
            ):
                value = self._release(key, note, forced=view is not None and view.state == "Refused")
                if value is not None:
                    released[key] = value
                    if view is not None:
                        views[key] = replace(view, actual=value, state=_audit_state(view, value))
        persist = {
            one.key: one
            for one in wanted
            if one.persistence == PERSISTENT and views[one.key].state == "InSync" and one.mode != AUDIT
        }
        problem = self._write_drop_in(persist)
        if problem is None:
            views = {key: replace(view, persisted=key in persist) for key, view in views.items()}
        return KeptState(
            views=tuple(views[key] for key in sorted(views)),
            persistent_problem=problem,
            wants_persistence=bool(persist),
            released=released,
        )

    def restore(self) -> dict[str, int]:
        """Give back every key still held, whatever its policy said of release, and remove the drop-in; key
        -> value now in force."""
        restored = {}
        for key, note in self._store.sysctls().items():
            value = self._release(key, {**note, "onRelease": "Restore"}) if "original" in note else None
            if value is not None:
                restored[key] = value
        problem = self._write_drop_in({})
        if problem is not None:
            log.warning("drop-in not removed", error=problem)
        return restored

    def _keep(
        self, wanted: DesiredSysctl, *, note: dict[str, Any] | None, kubelet: KubeletFacts | None
    ) -> SysctlView:
        stored = note
        note = dict(note or {})
        view = SysctlView(
            key=wanted.key,
            desired=wanted.value,
            actual=None,
            original=note.get("original"),
            policy=wanted.policy,
            mode=wanted.mode,
            drift_count=note.get("driftCount", 0),
            last_drift=note.get("lastDrift"),
            suspected_writer=note.get("suspectedWriter"),
        )
        try:
            actual = self._sysctls.read(wanted.key)
        except SysctlError as error:
            return replace(
                view,
                state="Unsupported" if error.missing else "Pending",
                reason="NotReadable",
                message=str(error),
            )
        view = replace(view, actual=actual)
        if wanted.mode == AUDIT:
            return replace(view, state=_audit_state(view, actual))
        refusal = refuse(
            wanted,
            kubelet=kubelet,
            kubelet_expected=self._kubelet_expected,
            kernel_panic_seconds=self._kernel_panic(),
        )
        if refusal is not None:
            return replace(view, state="Refused", reason=refusal.reason, message=refusal.message)
        if "original" not in note:
            note = {"original": actual}
            view = replace(view, original=actual)
        # A reboot brings the kernel's defaults back: that is nobody's writing.
        drifted = (
            note.get("applied") == wanted.value
            and actual != wanted.value
            and note.get("boot") == self._boot_id
        )
        if drifted:
            note = self._note_drift(wanted, note, actual=actual, kubelet=kubelet)
            view = replace(
                view,
                drift_count=note["driftCount"],
                last_drift=note["lastDrift"],
                suspected_writer=note["suspectedWriter"],
            )
        note = {**note, "policy": wanted.policy, "onRelease": wanted.on_release}
        # Written only by what follows: a value that could not be set is no drift when it is seen again.
        applied = {
            **note,
            "applied": wanted.value,
            "boot": self._boot_id,
            "kubeletStart": self._kubelet_at_write(note, kubelet=kubelet, in_sync=actual == wanted.value),
        }
        if actual == wanted.value or drifted:
            note = applied
        if note != stored:
            self._store.put_sysctl(wanted.key, note)
        if actual == wanted.value:
            return view
        if self._drifts(note).is_fight:
            return replace(
                view,
                state="Drifted",
                reason="FightingForeignWriter",
                message=fight_message(note["suspectedWriter"]),
            )
        try:
            self._sysctls.write(wanted.key, wanted.value)
        except SysctlError as error:
            return replace(view, state="Drifted", reason="WriteFailed", message=str(error))
        if note != applied:
            self._store.put_sysctl(wanted.key, applied)
        log.info(
            "sysctl set", key=wanted.key, value=wanted.value, was=actual, policy=wanted.policy, drift=drifted
        )
        return replace(view, actual=wanted.value)

    def _kubelet_at_write(
        self, note: dict[str, Any], *, kubelet: KubeletFacts | None, in_sync: bool
    ) -> int | None:
        """Start of the kubelet that ran when the value was last set.

        A kubelet that has started since is not taken note of while the value is in force: it writes its own
        some seconds after its start (container manager, setupKernelTunables), and is the suspect until then.
        """
        known = note.get("kubeletStart")
        if in_sync and known is not None and note.get("boot") == self._boot_id:
            return int(known)
        return kubelet.start_time if kubelet else None

    def _note_drift(
        self, wanted: DesiredSysctl, note: dict[str, Any], *, actual: int, kubelet: KubeletFacts | None
    ) -> dict[str, Any]:
        before = self._drifts(note)
        restarted = kubelet is not None and kubelet.start_time != note.get("kubeletStart")
        writer = self._suspect(wanted.key, actual, kubelet=kubelet, restarted=restarted)
        log.log(
            logging.DEBUG if before.is_fight else logging.WARNING,
            "sysctl drifted",
            key=wanted.key,
            desired=wanted.value,
            actual=actual,
            suspected_writer=writer,
        )
        note = {**note, "drifts": list(before.add(self._clock()).times), "suspectedWriter": writer}
        if not before.is_fight:
            note |= {"driftCount": note.get("driftCount", 0) + 1, "lastDrift": rfc3339(self._wall())}
        return note

    def _drifts(self, note: dict[str, Any]) -> DriftHistory:
        """The changes by another writer in this boot that still count."""
        return DriftHistory(tuple(note.get("drifts", ()))).recent(self._clock())

    def _suspect(self, key: str, actual: int, *, kubelet: KubeletFacts | None, restarted: bool) -> str:
        if kubelet is not None and restarted and SYSCTL_RULES[key].kubelet_value == actual:
            return f"kubelet (started again, pid {kubelet.pid})"
        setting = find_setting(key, etc=self._etc)
        if setting is not None and setting[1] == actual:
            return f"/etc/{setting[0].relative_to(self._etc)} (applied again)"
        if kubelet is not None and SYSCTL_RULES[key].kubelet_value == actual:
            return "kubelet or another writer of its value"
        return "unknown"

    def _release(self, key: str, note: dict[str, Any], *, forced: bool = False) -> int | None:
        """Let go of a key; the value then in force, or None while it could not be let go."""
        try:
            give_back = note.get("onRelease") != KEEP or forced
            if give_back and self._sysctls.read(key) != note["original"]:
                self._sysctls.write(key, note["original"])
                log.info("sysctl restored", key=key, value=note["original"])
            value = self._sysctls.read(key)
        except SysctlError as error:
            if not error.missing:
                log.warning("sysctl not restored", error=error)
                return None
            value = note["original"]
        self._store.drop_sysctl(key)
        return value

    def _kernel_panic(self) -> int | None:
        try:
            return self._sysctls.read("kernel.panic")
        except SysctlError:
            return None

    def _write_drop_in(self, persist: dict[str, DesiredSysctl]) -> str | None:
        values = {key: one.value for key, one in persist.items()}
        policies = {key: f"policy {one.policy}" for key, one in persist.items()}
        folder = self._etc / "sysctl.d"
        try:
            if write_drop_in(render_drop_in(values, policies) if values else None, folder=folder):
                log.info("drop-in changed", folder=folder, keys=sorted(values))
        except OSError as error:
            return f"{folder}: {error.strerror or error}"
        return None


def _audit_state(view: SysctlView, actual: int) -> str:
    if view.state == "Refused":
        return "Refused"
    return "InSync" if actual == view.desired else "Audited"
