"""Totals of OOM kills for the metrics, in the state database: a count per workload, container and cause that
only grows.

A kill is added in the transaction that counts it in its incident, when its subject is settled, and never
again: also not when its incident is deleted, its record is dropped, or it is moved to another subject because
its pod becomes known late. The incident moves; the total stays where it was first counted, for a counter must
not go down.

The number of series is bounded: tenants choose the names of workloads."""

import os
from dataclasses import dataclass
from typing import NamedTuple

from oomkeeper.resources.oomincident import WorkloadReference

from .state_connection import StateConnection

DEFAULT_SERIES = 500
"""Series of workloads; the kills of further ones are counted together, per cause."""
OTHER = "other"
"""`workload` of the kills beyond the bound."""
RETIRED = "retired"
"""`workload` of the row that keeps the kills of series that made room for others."""
HOST_KIND = "Host"
"""`workload_kind` of kills outside of pods. Their cgroup is no label: it may be any text."""
UNKNOWN_KIND = "UnknownPod"
"""`workload_kind` of kills in a pod that the API server never showed."""
RETIRE_SECONDS = 7 * 86400
"""A series without a kill for so long makes room for a new one."""


class KillSeries(NamedTuple):
    """The labels of one series."""

    cause: str
    namespace: str
    workload_kind: str
    workload: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillTotals:
    """The totals at one moment."""

    series: dict[KillSeries, int]
    """What is served: no retired series."""
    causes: dict[str, int]
    """The same without the workload: every kill ever counted, by cause."""


def series_of(
    *,
    cause: str,
    namespace: str | None,
    workload: WorkloadReference | None,
    container: str | None,
    in_pod: bool,
) -> KillSeries:
    """Return the series of a kill. `in_pod`: its cgroup is that of a pod, which may be unknown."""
    if namespace is None or workload is None:
        return KillSeries(cause, "", UNKNOWN_KIND if in_pod else HOST_KIND, "", "")
    return KillSeries(cause, namespace, workload.kind, workload.name, container or "")


class KillTotalsTable(StateConnection):
    """The table of the totals."""

    max_kill_series = DEFAULT_SERIES

    def add_kill_total(self, series: KillSeries, *, now: float) -> None:
        """Add one kill to its series, within the transaction that counts it. `now`: seconds since the
        epoch."""
        if self._add(series, now=now):
            return
        if series.workload and not self._has_room(now=now):
            series = KillSeries(series.cause, "", "", OTHER, "")
            if self._add(series, now=now):
                return
        self._execute("INSERT INTO kill_total VALUES (?, ?, ?, ?, ?, 1, ?)", (*series, int(now)))

    def kill_totals(self) -> KillTotals:
        """Return the totals that are committed. Safe in any thread."""
        with self._lock:
            rows = self._execute(
                "SELECT cause, namespace, workload_kind, workload, container, kills FROM kill_total"
            ).fetchall()
        series: dict[KillSeries, int] = {}
        causes: dict[str, int] = {}
        for *labels, kills in rows:
            one = KillSeries(*labels)
            causes[one.cause] = causes.get(one.cause, 0) + kills
            if one.namespace or one.workload != RETIRED:
                series[one] = kills
        return KillTotals(series=series, causes=causes)

    def sync(self) -> None:
        """Bring what is committed to the disk: a total that was served must not be smaller after a power
        cut. Raises OSError."""
        if self.problem is not None:
            return
        for path in (f"{self.path}-wal", self.folder):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _add(self, series: KillSeries, *, now: float, kills: int = 1) -> bool:
        """Add to a row; return whether it is there."""
        changed = self._execute(
            "UPDATE kill_total SET kills = kills + ?, last = ? WHERE cause = ? AND namespace = ? "
            "AND workload_kind = ? AND workload = ? AND container = ?",
            (kills, int(now), *series),
        )
        return changed.rowcount > 0

    def _has_room(self, *, now: float) -> bool:
        """Return whether one more series of a workload fits, after the oldest one was retired if needed."""
        count = self._execute("SELECT count(*) FROM kill_total WHERE namespace != ''").fetchone()[0]
        if count < self.max_kill_series:
            return True
        row = self._execute(
            "SELECT cause, namespace, workload_kind, workload, container, kills FROM kill_total "
            "WHERE namespace != '' AND last < ? ORDER BY last LIMIT 1",
            (int(now) - RETIRE_SECONDS,),
        ).fetchone()
        if row is None:
            return False
        series, kills = KillSeries(*row[:5]), row[5]
        retired = KillSeries(series.cause, "", "", RETIRED, "")
        if not self._add(retired, now=now, kills=kills):
            self._execute("INSERT INTO kill_total VALUES (?, ?, ?, ?, ?, ?, ?)", (*retired, kills, int(now)))
        self._execute(
            "DELETE FROM kill_total WHERE cause = ? AND namespace = ? AND workload_kind = ? AND workload = ? "
            "AND container = ?",
            series,
        )
        return True
