"""The node's own panic breaker: after too many OOM panics of this node vm.panic_on_oom is 0, whatever the
last known OOMNode.spec holds.

The controller counts the panics of all nodes of a policy. A node that panics repeatedly may not reach the API
server, so it counts its own. After a trip the value stays 0 until a person resets the breaker, which changes
`countedFrom` in the limit.
"""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from oomkeeper.logformat import get_logger
from oomkeeper.model.policy import Mode, SysctlState
from oomkeeper.resources.oomnode import DesiredSysctl, PanicLimit

from .clock import parse_rfc3339
from .desired import Desired
from .panics import PANICS_NOTE
from .records import PanicBreakerNote, PanicNote
from .sysctl_enforcer import SysctlPass
from .sysctl_order import PANIC_ON_OOM
from .sysctl_safety import refuse_after_panics

log = get_logger(__name__)
T = TypeVar("T")

BREAKER_NOTE = "panic breaker"
"""Name in the store of the PanicBreakerNote."""


class BreakerNotes(Protocol):
    """What the breaker needs of the store."""

    def note(self, key: str, kind: type[T]) -> T | None:
        """Return what is noted under a name."""

    def put_note(self, key: str, value: object) -> None:
        """Note it."""


class PanicBreaker:
    """Used from the loop's thread."""

    def __init__(self, *, store: BreakerNotes, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall = wall
        self._tripped: tuple[DesiredSysctl, PanicBreakerNote] | None = None

    def apply(self, desired: Desired) -> Desired:
        """Return what to enforce: vm.panic_on_oom 0 if the breaker has tripped."""
        entry = next((one for one in desired.sysctls if _panics(one)), None)
        limit = entry.panic_limit if entry is not None else None
        note = self._note(entry, limit) if entry is not None and limit is not None else None
        self._tripped = (entry, note) if entry is not None and note is not None else None
        if self._tripped is None:
            return desired
        return Desired(
            generation=desired.generation,
            sysctls=tuple(replace(one, value=0) if one is entry else one for one in desired.sysctls),
            adjustments=desired.adjustments,
            host_kills=desired.host_kills,
            problems=desired.problems,
        )

    def report(self, done: SysctlPass) -> SysctlPass:
        """Return the pass with vm.panic_on_oom refused if the breaker has tripped."""
        if self._tripped is None:
            return done
        entry, note = self._tripped
        refusal = refuse_after_panics(note.panics)
        refused = {"state": SysctlState.REFUSED, "reason": refusal.reason, "message": refusal.message}
        statuses = tuple(
            # Where 0 could not be written, the reason for that stays.
            replace(one, desired=entry.value, **(refused if one.state == SysctlState.IN_SYNC else {}))
            if one.name == PANIC_ON_OOM
            else one
            for one in done.statuses
        )
        return SysctlPass(
            statuses=statuses,
            persistent_problem=done.persistent_problem,
            wants_persistence=done.wants_persistence,
            released=done.released,
        )

    def _note(self, entry: DesiredSysctl, limit: PanicLimit) -> PanicBreakerNote | None:
        """Return the note of a trip by this limit; None if it has not tripped."""
        note = self._store.note(BREAKER_NOTE, PanicBreakerNote)
        if note is not None and (note.policy, note.counted_from) == (entry.policy, limit.counted_from):
            return note
        now, start = self._wall(), parse_rfc3339(limit.counted_from)
        panics = self._store.note(PANICS_NOTE, PanicNote) or PanicNote()
        times = map(parse_rfc3339, panics.found.values())
        count = sum(start <= when and now - when <= limit.window_seconds for when in times)
        if count <= limit.max_panics:
            return None
        note = PanicBreakerNote(policy=entry.policy, counted_from=limit.counted_from, panics=count)
        self._store.put_note(BREAKER_NOTE, note)
        log.warning("panic breaker tripped", policy=entry.policy, panics=count, maximum=limit.max_panics)
        return note


def _panics(entry: DesiredSysctl) -> bool:
    return entry.name == PANIC_ON_OOM and entry.mode == Mode.ENFORCE and entry.value > 0
