"""The limit of a kill without a report: taken over from a report of the same cgroup shortly before."""

from __future__ import annotations

import pytest

from oomkeeper.agent.kill_observer import Placed
from oomkeeper.agent.rate_limited_kills import RATE_LIMIT_USEC, RateLimitedKills
from oomkeeper.model.cause import Scope
from oomkeeper.model.kill import Kill, Victim

KILL_USEC = 60_000_000


class Observer:
    """Has placed every kill in /pod/app, under two limits."""

    def place(self, _seq: int) -> Placed | None:
        return Placed("/pod/app", None)


@pytest.mark.parametrize(
    ("reported_usec", "limit"),
    [
        (KILL_USEC - 1_000_000, "/pod"),
        (KILL_USEC - RATE_LIMIT_USEC - 1, None),
        (KILL_USEC + 1, None),
    ],
)
def test_limit_is_that_of_a_report_within_the_window_before(reported_usec: int, limit: str | None) -> None:
    kills = RateLimitedKills(Observer())  # type: ignore[arg-type]
    kills.reported(
        Kill(scope=Scope.MEMCG, header_seen=True, task_memcg="/pod/app", oom_memcg="/pod", usec=reported_usec)
    )
    bare = Kill(
        scope=Scope.MEMCG,
        header_seen=False,
        usec=KILL_USEC,
        kill_seqs=(7,),
        victims=(Victim(pid=9, comm="tail"),),
    )
    found, _ = kills.complete(bare, kill_id="boot-7", stored=None)
    assert (found.task_memcg, found.oom_memcg) == ("/pod/app", limit)
