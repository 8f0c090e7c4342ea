"""Advice about a process that is killed repeatedly, where each kill by itself shows too little: `grep` keeps
the kill lines of a log and drops the reports."""

from typing import NamedTuple

from ...model.cause import Cause, Remedy, Scope
from ...model.diagnosis import Advice, Diagnosis
from ...model.escaping import printable
from ...model.kill import Kill
from ...model.units import bytes_text
from ..case import resident_bytes
from .guest import is_guest

_MOST_NAMES = 10_000
_NO_SHORTAGE = frozenset({Cause.MANUAL_TRIGGER, Cause.EXTERNAL_POLICY})


class _Seen(NamedTuple):
    kills: int
    least_bytes: int | None
    most_bytes: int | None


class RepeatedVictims:
    """Counts the kills of one log by the name of the process."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Scope, str], _Seen] = {}

    def advise(self, kill: Kill, diagnosis: Diagnosis) -> Diagnosis:
        """Count a kill; return its diagnosis, with advice if it has none and the process was killed
        before."""
        if not kill.victims or not kill.victims[0].comm or diagnosis.cause in _NO_SHORTAGE:
            return diagnosis
        victim = kill.victims[0]
        key = kill.scope, victim.comm
        if key not in self._seen and len(self._seen) >= _MOST_NAMES:
            return diagnosis
        seen = self._seen[key] = _add(self._seen.get(key), resident_bytes(victim))
        if seen.kills < 2 or diagnosis.advice:
            return diagnosis
        return diagnosis._replace(advice=(_advice(kill.scope, victim.comm, seen),))


def _add(seen: _Seen | None, resident: int | None) -> _Seen:
    if seen is None:
        return _Seen(1, resident, resident)
    sizes = [size for size in (seen.least_bytes, seen.most_bytes, resident) if size is not None]
    return _Seen(seen.kills + 1, min(sizes, default=None), max(sizes, default=None))


def _advice(scope: Scope, comm: str, seen: _Seen) -> Advice:
    name = printable(comm)
    held = ""
    if seen.least_bytes is not None and seen.most_bytes is not None:
        least, most = bytes_text(seen.least_bytes), bytes_text(seen.most_bytes)
        held = f", with {least} resident" if least == most else f", with {least} to {most} resident"
    if is_guest(comm):
        cause = "This is mostly the RAM of a virtual machine: reduce the RAM of the guest, or move it"
    else:
        cause = "If it does not need this much, look for a leak or a setting that bounds its memory"
    enough = {
        Scope.GLOBAL: "otherwise add memory to the machine, run less on it, or give the process a limit",
        Scope.MEMCG: "otherwise raise the limit of its cgroup",
        Scope.UNKNOWN: "otherwise it needs more memory",
    }[scope]
    return Advice(
        remedy=Remedy.FIND_LEAK,
        message=(
            f"{name} was killed {seen.kills} times in this log so far{held}. {cause}; {enough}. For what "
            "else used memory, read the whole reports: `journalctl -k -b all | oomkeeper explain -`"
        ),
    )
