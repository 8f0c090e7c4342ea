"""Summarise many kills in one table: how often each kind occurred, when last, and how fast memory grows."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from oomkeeper.model.escaping import printable
from oomkeeper.model.units import count_text, share_text

from . import display_names as words
from .explanation import Bar, Chart, moment_text

MAX_ROWS = 20
MAX_SUBJECTS = 10_000
"""Different subjects that are counted separately; the rest count as one, so memory stays bounded."""

RECENT = 5
"""Last kills of a pod or cgroup from which its growth is computed, as many as an OOMIncident keeps."""
MAX_SENTENCES = 5

PLACE_CHARS = 36
OVERVIEW_COLUMNS = ("kills", "cause", "where", "victim", "last")


def numbered(kills: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int | None, Mapping[str, Any]]]:
    """Yield each kill with its number from 1 on; a single kill has none. One kill is held back to find
    out."""
    held: Mapping[str, Any] | None = None
    place = 0
    for kill in kills:
        if held is not None:
            yield place, held
        held, place = kill, place + 1
    if held is not None:
        yield place if place > 1 else None, held


class _Row:
    __slots__ = ("count", "last")

    def __init__(self, when: str) -> None:
        self.count, self.last = 1, when


class Overview:
    """Counts kills, one at a time, in rows per (cause, place, victim)."""

    def __init__(self) -> None:
        self.total = 0
        self._causes: dict[str, int] = {}
        self._rows: dict[tuple[str, str, str], _Row] = {}
        self._recent: dict[tuple[str, str, str], deque[Mapping[str, Any]]] = {}

    def add(self, kill: Mapping[str, Any]) -> None:
        """Count one JSON object of a kill."""
        self.total += 1
        victims = kill.get("victims") or ()
        cause = printable(str(kill.get("cause")))
        self._causes[cause] = self._causes.get(cause, 0) + 1
        key = (
            cause,
            printable(_place(kill)),
            printable(str(victims[0].get("comm"))) if victims else "-",
        )
        when = moment_text(kill)
        row = self._rows.get(key)
        if row is None and len(self._rows) >= MAX_SUBJECTS:
            key = ("other", "-", "-")
            row = self._rows.get(key)
        if row is None:
            self._rows[key] = _Row(when)
        else:
            row.count, row.last = row.count + 1, when
        if victims:
            self._keep(kill, victims[0])

    def _keep(self, kill: Mapping[str, Any], victim: Mapping[str, Any]) -> None:
        """Keep the last kills by pod or cgroup: a restarted container has a new id, its pod does not."""
        pod, path = kill.get("podUid"), kill.get("taskMemcg") or kill.get("oomMemcg")
        if not pod and not path:
            return
        key = (str(kill.get("cause")), f"pod {pod}" if pod else _short(str(path)), str(victim.get("comm")))
        if key not in self._recent and len(self._recent) >= MAX_SUBJECTS:
            return
        self._recent.setdefault(key, deque(maxlen=RECENT)).appendleft(
            {
                "time": kill.get("time"),
                "comm": victim.get("comm"),
                "pid": victim.get("pid"),
                "anonRssBytes": victim.get("anonRssBytes"),
                "limitBytes": kill.get("limitBytes"),
            }
        )

    def growth(self) -> list[str]:
        """Return sentences on growth by pod or cgroup, in the order of their first kills."""
        often = [(key, kills) for key, kills in self._recent.items() if len(kills) > 1]
        if not often:
            return []
        # Most runs explain one kill and should not import this.
        from .growth import NO_SHORTAGE, growth_sentence

        said = (
            (place, growth_sentence(kills)) for (cause, place, _), kills in often if cause not in NO_SHORTAGE
        )
        return list(islice((f"{printable(place)}: {grown}" for place, grown in said if grown), MAX_SENTENCES))

    def rows(self) -> list[tuple[str, ...]]:
        """Return at most `MAX_ROWS` rows under `OVERVIEW_COLUMNS`, the most frequent first."""
        ranked = sorted(self._rows.items(), key=lambda item: -item[1].count)
        return [
            (
                f"{row.count:,}",
                words.CAUSES.get(cause, (cause, ""))[0],
                place,
                comm,
                row.last,
            )
            for (cause, place, comm), row in ranked[:MAX_ROWS]
        ]

    def causes(self) -> Chart:
        """Return a chart of the events per cause, the most frequent first."""
        ranked = sorted(self._causes.items(), key=lambda item: -item[1])
        return Chart(
            title="By cause",
            bars=tuple(
                Bar(
                    label=words.CAUSES.get(cause, (cause, ""))[0],
                    value=f"{count:,}",
                    share=count / self.total,
                    note=share_text(count / self.total),
                )
                for cause, count in ranked[:MAX_ROWS]
            ),
        )

    def sentence(self) -> str:
        """Return a heading for the table: `12 OOM events`."""
        text = count_text(self.total, "OOM event")
        kinds = len(self._rows)
        if kinds > MAX_ROWS:
            return f"{text}, {kinds:,} combinations of cause, place and victim; the {MAX_ROWS} most frequent"
        return text


def _place(kill: Mapping[str, Any]) -> str:
    # Twelve digits, as `crictl ps` prints an id.
    if container := kill.get("containerId"):
        return f"container {container[:12]}"
    if pod := kill.get("podUid"):
        return f"pod {pod}"
    return _short(str(kill.get("taskMemcg") or kill.get("oomMemcg") or "-"))


def _short(path: str) -> str:
    # The end of a path is more specific than its beginning.
    return path if len(path) <= PLACE_CHARS else f"...{path[3 - PLACE_CHARS :]}"
