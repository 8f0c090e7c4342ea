"""The state database's queries of what was written to the host: sysctls and oom_score_adj."""

from .records import SysctlNote
from .state_connection import StateConnection
from .state_json import decode_json, encode_json


class SettingQueries(StateConnection):
    """Used from the loop's thread."""

    def sysctls(self) -> dict[str, SysctlNote]:
        """Return what is noted of each sysctl that was written."""
        rows = self._execute("SELECT key, document FROM sysctl")
        return {row[0]: decode_json(row[1], SysctlNote) for row in rows}

    def put_sysctl(self, key: str, note: SysctlNote) -> None:
        self._execute("INSERT OR REPLACE INTO sysctl VALUES (?, ?)", (key, encode_json(note)))

    def drop_sysctl(self, key: str) -> None:
        self._execute("DELETE FROM sysctl WHERE key = ?", (key,))

    def adjustments(self) -> dict[tuple[int, int], tuple[int, int, str]]:
        """Return (pid, start time in ticks) -> (original value, applied value, name of the rule)."""
        rows = self._execute("SELECT pid, start_time, original, applied, name FROM adjustment")
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}

    def put_adjustment(self, *, pid: int, start_time: int, original: int, applied: int, name: str) -> None:
        self._execute(
            "INSERT INTO adjustment VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (pid, start_time) DO UPDATE SET applied = excluded.applied, name = excluded.name",
            (pid, start_time, original, applied, name),
        )

    def drop_adjustment(self, *, pid: int, start_time: int) -> None:
        self._execute("DELETE FROM adjustment WHERE pid = ? AND start_time = ?", (pid, start_time))
