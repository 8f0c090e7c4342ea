"""Set oom_score_adj of the processes that a policy names, and give it back when none does.

A process is named for ever by pid and start time; its value before the first write is kept in the store. A
process inherits the value of its parent at fork, so children born after the change carry it already; those
born before are found by the next look.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oomkeeper.kernel.cgroup.hierarchy import CgroupHierarchy

from .kubelet import process_start_time
from .pods import PodTable
from .state import Store

log = logging.getLogger(__name__)


class Adjuster:
    """Used from the agent's loop."""

    def __init__(
        self, *, store: Store, hierarchy: CgroupHierarchy, pods: PodTable | None, proc: Path = Path("/proc")
    ) -> None:
        self._store = store
        self._hierarchy = hierarchy
        self._pods = pods
        self._proc = proc
        self._failed: set[tuple[int, int]] = set()
        self.problems: tuple[str, ...] = ()
        """Rules that could not be applied, one sentence each."""

    def reconcile(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Adjust what the rules name now; restore what they name no more. The first rule that names a
        process wins."""
        held = self._store.adjustments()
        if not rules and not held:
            return
        wanted: dict[tuple[int, int], tuple[int, str]] = {}
        problems: list[str] = []
        for rule in rules:
            if rule.get("mode") == "Audit":
                continue
            value, name = rule.get("value"), str(rule.get("name"))
            if not isinstance(value, int) or not -1000 <= value <= 1000:
                problems.append(
                    f"oomScoreAdjustments {name}: value is {value!r}; write a whole number from -1000 to 1000"
                )
                continue
            if rule.get("podSelector") is not None:
                problems.append(
                    f"oomScoreAdjustments {name}: podSelector is not supported by this release's agent"
                )
                continue
            for pid in self._matching(rule):
                start_time = process_start_time(pid, proc=self._proc)
                if start_time is not None:
                    wanted.setdefault((pid, start_time), (value, name))
        for process, (value, name) in wanted.items():
            self._adjust(process, value=value, name=name, held=held.get(process))
        for process, (original, applied, name) in held.items():
            if process not in wanted:
                self._restore(process, original=original, applied=applied, name=name)
        self.problems = tuple(problems)

    def _matching(self, rule: Mapping[str, Any]) -> Iterator[int]:
        comm = (rule.get("process") or {}).get("comm")
        unit = rule.get("systemdUnit")
        for pid in self._pids():
            by_name = comm is not None and self._comm(pid) == comm
            if by_name or (unit is not None and _has_part(self._systemd_path(pid), unit)):
                yield pid

    def _pids(self) -> Iterable[int]:
        return (int(folder.name) for folder in self._proc.iterdir() if folder.name.isdigit())

    def _comm(self, pid: int) -> str | None:
        try:
            return (self._proc / str(pid) / "comm").read_text(errors="surrogateescape").rstrip("\n")
        except OSError:
            return None

    def _systemd_path(self, pid: int) -> str:
        """The process's path in systemd's own hierarchy (v1 `name=systemd`), else in the unified one: that
        is where units are."""
        try:
            lines = (self._proc / str(pid) / "cgroup").read_text(errors="surrogateescape").splitlines()
        except OSError:
            return ""
        paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
        return paths.get("name=systemd") or paths.get("", "")

    def _adjust(
        self, process: tuple[int, int], *, value: int, name: str, held: tuple[int, int, str] | None
    ) -> None:
        pid, start_time = process
        current = self._read(pid)
        if current is None or (current == value and (held is None or held[1] == value)):
            return
        # The value found first is noted before it is changed: after a crash in between the note does no harm.
        self._store.put_adjustment(
            pid=pid, start_time=start_time, original=held[0] if held else current, applied=value, name=name
        )
        if self._write(process, value):
            log.info("oom_score_adj set pid=%d value=%d was=%d rule=%s", pid, value, current, name)
        elif held is None:
            self._store.drop_adjustment(pid=pid, start_time=start_time)

    def _restore(self, process: tuple[int, int], *, original: int, applied: int, name: str) -> None:
        pid, start_time = process
        alive = process_start_time(pid, proc=self._proc) == start_time
        # A value that somebody else has set since is theirs.
        if alive and self._read(pid) == applied and self._write(process, original):
            log.info("oom_score_adj restored pid=%d value=%d rule=%s", pid, original, name)
        self._store.drop_adjustment(pid=pid, start_time=start_time)

    def _read(self, pid: int) -> int | None:
        try:
            return int((self._proc / str(pid) / "oom_score_adj").read_text())
        except (OSError, ValueError):
            return None

    def _write(self, process: tuple[int, int], value: int) -> bool:
        try:
            (self._proc / str(process[0]) / "oom_score_adj").write_text(str(value))
        except OSError as error:
            if process not in self._failed:
                self._failed.add(process)
                log.warning(
                    "oom_score_adj not set pid=%d value=%d problem=%s", process[0], value, error.strerror
                )
            return False
        return True


def _has_part(path: str, unit: str) -> bool:
    return unit in path.split("/")
