"""Summarise many kills in one table: how often each kind occurred, when last, and how fast memory grows."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice

from oomkeeper.model.escaping import printable
from oomkeeper.model.units import count_text, share_text
from oomkeeper.resources.killrecord import KillRecord

from . import display_names as names
from .explanation import moment_text
from .kill_charts import Bar, Chart, comm_text
from .kill_times import KillTimes, Timeline

MAX_ROWS = 20
MAX_PLACES = 10_000
"""Different causes and places that are counted separately; the rest count as one, so memory stays bounded."""
MAX_NAMES = 50
"""Different victims of one row that are counted separately."""
RECENT = 5
"""Last kills of a pod or cgroup from which its growth is computed, as many as an OOMIncident keeps."""
MAX_SENTENCES = 5

PLACE_CHARS = 36
OVERVIEW_COLUMNS = ("kills", "cause", "where", "victim", "last")
OVERVIEW_NUMBERS = frozenset({"kills"})
"""Columns that are right-aligned."""


def numbered(kills: Iterable[KillRecord]) -> Iterator[tuple[int | None, KillRecord]]:
    """Yield each kill with its number from 1 on; a single kill has none, so one is held back to know."""
    held: KillRecord | None = None
    place = 0
    for kill in kills:
        if held is not None:
            yield place, held
        held, place = kill, place + 1
    if held is not None:
        yield place if place > 1 else None, held


class _Row:
    """Kills of one cause at one place."""

    __slots__ = ("count", "last", "victims")

    def __init__(self) -> None:
        self.count, self.last = 0, "-"
        self.victims: Counter[str] = Counter()

    def add(self, when: str, victim: str | None) -> None:
        self.count, self.last = self.count + 1, when
        if victim is not None and (victim in self.victims or len(self.victims) < MAX_NAMES):
            self.victims[victim] += 1

    def victims_text(self) -> str:
        """Return `tail`, or `tail and 3 others` for several names."""
        if not self.victims:
            return "-"
        most = self.victims.most_common(1)[0][0]
        others = len(self.victims) - 1
        return f"{most} and {count_text(others, 'other')}" if others else most


class Overview:
    """Counts kills, one at a time, in rows per cause and place."""

    def __init__(self) -> None:
        self.total = 0
        self._causes: Counter[str] = Counter()
        self._rows: dict[tuple[str, str], _Row] = {}
        self._recent: dict[tuple[str, str, str], deque[KillRecord]] = {}
        self._times = KillTimes()

    def add(self, kill: KillRecord) -> None:
        """Count one kill."""
        self.total += 1
        cause = printable(kill.cause)
        self._causes[cause] += 1
        key = (cause, _place(kill))
        if key not in self._rows and len(self._rows) >= MAX_PLACES:
            key = ("other", "-")
        row = self._rows.setdefault(key, _Row())
        row.add(moment_text(kill), comm_text(kill.victims[0].comm) if kill.victims else None)
        self._times.add(kill)
        self._keep(kill)

    def _keep(self, kill: KillRecord) -> None:
        """Keep the last kills by pod or cgroup: a restarted container has a new id, its pod does not."""
        path = kill.task_memcg or kill.oom_memcg
        if not kill.victims or (not kill.pod_uid and not path):
            return
        place = f"pod {kill.pod_uid}" if kill.pod_uid else _short(path or "")
        key = (kill.cause, place, kill.victims[0].comm)
        if key in self._recent or len(self._recent) < MAX_PLACES:
            self._recent.setdefault(key, deque(maxlen=RECENT)).appendleft(kill)

    def growth(self) -> list[str]:
        """Return sentences on growth by pod or cgroup, in the order of their first kills."""
        often = [(key, kills) for key, kills in self._recent.items() if len(kills) > 1]
        if not often:
            return []
        # Most runs explain one kill and should not import this.
        from .growth import NO_SHORTAGE, growth_sentence, recent_kill

        sentences = (
            (place, growth_sentence([recent_kill(kill) for kill in kills]))
            for (cause, place, _), kills in often
            if cause not in NO_SHORTAGE
        )
        return list(
            islice((f"{printable(place)}: {growth}" for place, growth in sentences if growth), MAX_SENTENCES)
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return at most `MAX_ROWS` rows under `OVERVIEW_COLUMNS`, the most frequent first."""
        ranked = sorted(self._rows.items(), key=lambda item: -item[1].count)
        return [
            (f"{row.count:,}", names.cause_title(cause), place, row.victims_text(), row.last)
            for (cause, place), row in ranked[:MAX_ROWS]
        ]

    def causes(self) -> Chart:
        """Return a chart of the events per cause, the most frequent first."""
        return Chart(
            title="By cause",
            bars=tuple(
                Bar(
                    label=names.cause_title(cause),
                    value=f"{count:,}",
                    share=count / self.total,
                    note=share_text(count / self.total),
                )
                for cause, count in self._causes.most_common(MAX_ROWS)
            ),
        )

    def timeline(self) -> Timeline | None:
        """Return the events over time; None where the log does not show their times."""
        return self._times.timeline()

    def sentence(self) -> str:
        """Return a heading for the table: `12 OOM events`."""
        text = count_text(self.total, "OOM event")
        if len(self._rows) > MAX_ROWS:
            return f"{text} in {len(self._rows):,} places; the {MAX_ROWS} with most events"
        return text


def _place(kill: KillRecord) -> str:
    # A restarted container has a new id, its pod does not. Twelve digits, as `crictl ps` prints an id.
    if kill.pod_uid:
        return printable(f"pod {kill.pod_uid}")
    if kill.container_id:
        return printable(f"container {kill.container_id[:12]}")
    return _short(printable(kill.task_memcg or kill.oom_memcg or "-"))


def _short(path: str) -> str:
    # The end of a path is more specific than its beginning.
    return path if len(path) <= PLACE_CHARS else f"...{path[3 - PLACE_CHARS :]}"
