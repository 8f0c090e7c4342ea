"""Run the enforcer's own code for the node's sysctls on copies: nothing is written, and the plan is what
happens later."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from oomkeeper.kernel.meminfo import NodeMemory
from oomkeeper.kernel.sysctl import SysctlError, Sysctls
from oomkeeper.resources.oomnode import ObservedSysctl, PlannedSysctl

from ..desired import Desired
from ..kubelet import KubeletFacts
from ..panic_breaker import PanicBreaker
from ..records import SysctlNote
from ..store import Store
from ..sysctl_enforcer import SysctlEnforcer

_T = TypeVar("_T")


class RehearsedSysctls(Sysctls):
    """Reads the kernel's values and keeps what is written to itself."""

    def __init__(self, real: Sysctls) -> None:
        self._real = real
        self.written: dict[str, int] = {}

    def read(self, key: str) -> int:
        """Return the value written here, else the kernel's. Raises SysctlError."""
        value = self._real.read(key)
        return self.written.get(key, value)

    def write(self, key: str, value: int) -> None:
        """Keep the value. Raises SysctlError where the kernel does not have the key."""
        self._real.read(key)
        self.written[key] = value


class RehearsedStore:
    """What the enforcer needs of the store: reads it, and keeps changes to itself."""

    def __init__(self, store: Store | None) -> None:
        """`store` None: no agent has run here."""
        self._store = store
        self._sysctls: dict[str, SysctlNote] = store.sysctls() if store is not None else {}

    def sysctls(self) -> dict[str, SysctlNote]:
        """Return the notes."""
        return dict(self._sysctls)

    def put_sysctl(self, key: str, note: SysctlNote) -> None:
        """Keep a note."""
        self._sysctls[key] = note

    def drop_sysctl(self, key: str) -> None:
        """Drop a note."""
        self._sysctls.pop(key, None)

    def note(self, key: str, kind: type[_T]) -> _T | None:
        """Return a note of the store."""
        return self._store.note(key, kind) if self._store is not None else None

    def put_note(self, _key: str, _value: object) -> None:
        """Keep nothing."""


def rehearse(
    desired: Desired,
    *,
    store: Store | None,
    sysctls: Sysctls,
    boot_id: str,
    memory: Callable[[], NodeMemory],
    etc: Path,
    kubelet: KubeletFacts | None,
    kubelet_expected: bool,
    clock: Callable[[], float],
    wall: Callable[[], float],
) -> tuple[PlannedSysctl, ...]:
    """Return each sysctl that `desired` sets or releases, with its value before and after."""
    notes, values = RehearsedStore(store), RehearsedSysctls(sysctls)
    held = notes.sysctls()
    keys = sorted({*held, *(one.name for one in desired.sysctls)})
    before = {key: _value(sysctls, key) for key in keys}
    enforcer = SysctlEnforcer(
        store=notes,
        sysctls=values,
        boot_id=boot_id,
        memory=memory,
        etc=etc,
        rehearses=True,
        clock=clock,
        wall=wall,
    )
    breaker = PanicBreaker(store=notes, wall=wall)
    done = breaker.report(
        enforcer.reconcile(breaker.apply(desired), kubelet=kubelet, kubelet_expected=kubelet_expected)
    )
    statuses: Mapping[str, ObservedSysctl] = {one.name: one for one in done.statuses}
    return tuple(_planned(key, before[key], _value(values, key), statuses.get(key)) for key in keys)


def _planned(key: str, before: int | None, after: int | None, status: ObservedSysctl | None) -> PlannedSysctl:
    if status is None:
        return PlannedSysctl(name=key, before=before, after=after)
    return PlannedSysctl(
        name=key,
        before=before,
        after=after,
        policy=status.policy,
        state=status.state,
        reason=status.reason,
        message=status.message,
    )


def _value(sysctls: Sysctls, key: str) -> int | None:
    try:
        return sysctls.read(key)
    except SysctlError:
        return None
