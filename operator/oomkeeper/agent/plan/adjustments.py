"""What oom_score_adj entries would change: by the enforcer's rule (of two entries that select a process the
first decides), on the processes as they are now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oomkeeper.kernel.oomscore import CAP_SYS_RESOURCE, Process, has_capability, read_process
from oomkeeper.model.policy import AdjustmentState, Mode
from oomkeeper.resources.oomnode import DesiredAdjustment, PlannedAdjustment

from ..oomscoreadj.entry import entry_id
from ..oomscoreadj.targets import Target

Held = Mapping[tuple[int, int], tuple[int, int, str]]
"""Process (pid and start time) -> original value, applied value, id of the entry: as the store has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAdjustments:
    """The effect of the entries."""

    entries: tuple[PlannedAdjustment, ...]
    changes: Mapping[int, int]
    """pid -> oom_score_adj after the change, where it differs."""
    restored: int
    """Processes that get their original value back."""


def plan_adjustments(
    entries: Sequence[DesiredAdjustment],
    targets: Sequence[Target],
    *,
    held: Held,
    kept: Collection[str],
    proc: Path,
) -> PlannedAdjustments:
    """Compute the effect. `targets`: of each entry; `held`: processes with a value of oomkeeper's; `kept`:
    ids of the entries whose values stay when they are gone."""
    changes: dict[int, int] = {}
    claims: dict[int, DesiredAdjustment] = {}
    planned = []
    may_lower = has_capability(CAP_SYS_RESOURCE, proc=proc)
    for entry, target in zip(entries, targets, strict=True):
        pids = [pid for group in target.groups for pid in group]
        lost = sum(claims[pid].value != entry.value for pid in pids if pid in claims)
        mine = [pid for pid in pids if pid not in claims]
        differing = [
            process for process in (_process(pid, proc) for pid in mine) if _differs(process, entry.value)
        ]
        if entry.mode != Mode.AUDIT:
            claims |= dict.fromkeys(mine, entry)
            changes |= {process.id.pid: entry.value for process in differing if process is not None}
        reason, message = target.reason, target.message
        state = AdjustmentState.REFUSED if target.refused else AdjustmentState.IN_SYNC
        if not target.complete and not target.refused:
            state = AdjustmentState.PENDING
        if entry.mode == Mode.AUDIT:
            state = AdjustmentState.AUDITED
        lowers = any(process is not None and entry.value < process.adj for process in differing)
        if state == AdjustmentState.IN_SYNC and lowers and not may_lower:
            reason = "NeedsCapSysResource"
            message = "lowering a value may need CAP_SYS_RESOURCE, which this agent does not have"
        planned.append(
            PlannedAdjustment(
                policy=entry.policy,
                name=entry.name,
                selected=len(pids),
                changing=len(differing),
                overridden=lost,
                state=str(state),
                reason=reason,
                message=message,
            )
        )
    incomplete = {
        entry_id(entry) for entry, target in zip(entries, targets, strict=True) if not target.complete
    }
    restored = _restored(held, claims=claims, kept=kept, incomplete=incomplete, proc=proc)
    return PlannedAdjustments(entries=tuple(planned), changes={**restored, **changes}, restored=len(restored))


def _restored(
    held: Held,
    *,
    claims: Mapping[int, DesiredAdjustment],
    kept: Collection[str],
    incomplete: Collection[str],
    proc: Path,
) -> dict[int, int]:
    found = {}
    for (pid, start_time), (original, applied, id) in held.items():
        if pid in claims or id in kept or id in incomplete:
            continue
        process = _process(pid, proc)
        if process is not None and process.id.start_time == start_time and process.adj == applied != original:
            found[pid] = original
    return found


def _process(pid: int, proc: Path) -> Process | None:
    process = read_process(pid, proc=proc)
    return None if process is None or process.kernel_thread else process


def _differs(process: Process | None, value: int) -> bool:
    return process is not None and process.adj != value
