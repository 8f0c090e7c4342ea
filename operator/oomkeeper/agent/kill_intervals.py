"""Which cgroup the kills of a short interval belong to, as far as the kernel's counters prove it.

/proc/vmstat counts all OOM kills of the machine, each memory cgroup counts its own, and each kill has one
line in the log. Between two moments at which nothing was in flight these three agree. So when all kills of
the interval whose cgroup is not known otherwise are matched by the counter of one single cgroup, they
happened there. In every other case the counters leave it open, and so does this module.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Interval(NamedTuple):
    """What happened between two moments at which counters and log agreed."""

    kills: int
    """Growth of /proc/vmstat's oom_kill."""
    moved: Mapping[str, int]
    """Path of each cgroup whose own count grew -> by how much. A kill in a cgroup that was removed in the
    meantime, in v2's root, or outside this cgroup namespace, is in `kills` and not here."""


def cgroup_of_the_rest(interval: Interval, known: Iterable[str | None]) -> str | None:
    """Return the one cgroup that all kills of the interval happened in which are not in `known`; None where
    there is no such kill or the counters leave it open.

    `known` has the cgroup of each kill that is known otherwise, None for one that is known to be outside of
    what `moved` can show.
    """
    places = list(known)
    unknown = interval.kills - len(places)
    rest = Counter(interval.moved)
    rest.subtract(place for place in places if place is not None and place in interval.moved)
    left = {path: kills for path, kills in rest.items() if kills}
    if unknown <= 0 or len(left) != 1:
        return None
    ((path, kills),) = left.items()
    return path if kills == unknown else None
