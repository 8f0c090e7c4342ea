"""One process as /proc shows it."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class ProcessRow(NamedTuple):
    """What decides whether a process is killed."""

    pid: int
    comm: str
    oom_score_adj: int
    oom_score: int
    rss_bytes: int

    @staticmethod
    def table(rows: "Iterable[ProcessRow]") -> list[tuple[str, ...]]:
        """Return the rows of a table."""
        heading = ("PID", "COMMAND", "OOM_SCORE_ADJ", "OOM_SCORE", "RSS")
        return [
            heading,
            *(
                (
                    str(row.pid),
                    row.comm,
                    str(row.oom_score_adj),
                    str(row.oom_score),
                    f"{row.rss_bytes >> 20} MiB",
                )
                for row in rows
            ),
        ]


def row_of(pid: int) -> ProcessRow:
    """Return the process as it is now. Raises OSError if it has ended."""
    folder = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    return ProcessRow(
        pid=pid,
        comm=(folder / "comm").read_text().strip(),
        oom_score_adj=int((folder / "oom_score_adj").read_text()),
        oom_score=int((folder / "oom_score").read_text()),
        rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
    )
