"""Correct the times of recorded kills when the node's clock is set.

A node may boot with a clock that is years off and set it when it has reached a time server. The kernel's own
time of a kill, in seconds after boot, is right in any case; so when the distance between the clock and the
time since boot has changed, every kill of this boot is moved by the change. Kills are dated with the distance
of the last look (`now`): one that is dated between a step and the next look must not be moved by what it
already has."""

import time
from collections import Counter
from collections.abc import Callable

from oomkeeper.logformat import get_logger
from oomkeeper.resources.oomincident import HourCount, OOMIncident

from .clock import full_hour, parse_rfc3339, rfc3339
from .incidents import redate_kills
from .kill_history import add_hours
from .records import ClockOffset
from .store import Store

log = get_logger(__name__)

OFFSET_NOTE = "clock offset"
STEP_SECONDS = 2.0
"""A smaller change is the clock being slewed."""


def seconds_since_boot() -> float:
    """Return the time since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockSteps:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        boot_id: str,
        wall: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = seconds_since_boot,
    ) -> None:
        """`since_boot` counts while the machine is suspended too, and is never set."""
        self._store = store
        self._boot_id = boot_id
        self._wall = wall
        self._since_boot = since_boot
        self._offset: float | None = None
        self._seen = wall() - since_boot()

    def now(self) -> float:
        """Return the wall-clock seconds as they were set at the last `check`."""
        return self._since_boot() + self._seen

    def check(self) -> None:
        """Look for a change of the clock, also one since an earlier run in this boot, and correct what it put
        wrong."""
        self._seen = offset = self._wall() - self._since_boot()
        if self._offset is None:
            noted = self._store.note(OFFSET_NOTE, ClockOffset)
            same_boot = noted is not None and noted.boot == self._boot_id
            self._offset = noted.seconds if noted is not None and same_boot else offset
            if not same_boot:
                self._store.put_note(OFFSET_NOTE, ClockOffset(boot=self._boot_id, seconds=offset))
        step = offset - self._offset
        if abs(step) < STEP_SECONDS:
            return
        with self._store.transaction():
            count = self._move(step)
            self._store.put_note(OFFSET_NOTE, ClockOffset(boot=self._boot_id, seconds=offset))
        self._offset = offset
        log.warning("clock was set", step_seconds=step, kills_corrected=count)

    def _move(self, step: float) -> int:
        # Ten thousand kills: what is kept of them here is what their incidents name.
        incidents: dict[str, _Moved] = {}
        total: Counter[str] = Counter()
        count = 0
        for kill_id, incident, before in self._store.kill_times(self._boot_id):
            after = rfc3339(parse_rfc3339(before) + step)
            self._store.redate_kill(kill_id, after)
            count += 1
            if incident is None:
                continue
            if incident not in incidents:
                incidents[incident] = _Moved(self._store.incident(incident))
            moved = incidents[incident]
            for hours in (total, moved.hours):
                hours[full_hour(before)] -= 1
                hours[full_hour(after)] += 1
            if kill_id in moved.named or before in moved.named:
                moved.changes[kill_id] = (before, after)
        for key, moved in incidents.items():
            known = self._store.incident(key)
            if known is not None:
                self._store.put_incident(key, redate_kills(known, moved.changes, hours=moved.hours))
        add_hours(self._store, [HourCount(hour=hour, kills=kills) for hour, kills in total.items()])
        boot = self._store.boot(self._boot_id)
        if boot is not None:
            self._store.redate_boot(self._boot_id, rfc3339(parse_rfc3339(boot.since) + step))
        return count


class _Moved:
    """What changes in an incident."""

    def __init__(self, incident: OOMIncident | None) -> None:
        status = incident.status if incident is not None else None
        self.named: set[str | None] = set()
        """Ids of kills, and the times of the first and last one."""
        if status is not None:
            self.named = {status.first_seen, status.last_seen, *(kill.id for kill in status.kills)}
        self.changes: dict[str, tuple[str, str]] = {}
        self.hours: Counter[str] = Counter()
