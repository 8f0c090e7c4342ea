"""Kills without a pause, and how many there were: in cgroups of this machine, and in pods."""

from __future__ import annotations

import threading
import time
from collections import Counter

from tests.cluster.agent_harness import container, namespace, pod
from tests.cluster.controller_harness import Harness
from tests.kernel.harness import MIB, Cgroup, Eater

BATCH = 10
NAMESPACE = "soak"
POD_PAUSE_SECONDS = 0.3


class CgroupKills(threading.Thread):
    """Has processes killed in cgroups of this machine, in turn."""

    def __init__(self, top: Cgroup, *, per_minute: float) -> None:
        super().__init__(daemon=True)
        self.cgroups = [top.child(name, limit_bytes=4 * MIB) for name in ("one", "two")]
        self._interval = 60.0 / per_minute
        self._ended = threading.Event()
        self.pids: list[int] = []
        """Of the killed, in the order of their deaths. One may come twice: numbers are used again."""
        self.made: Counter[str] = Counter()
        """Cgroup as the kernel prints it -> kills."""
        self.failure: Exception | None = None

    def run(self) -> None:
        """Kill until `stop`."""
        maker = Eater(name="soak")
        due = time.monotonic()
        try:
            while not self._ended.is_set():
                procs = [one.procs for one in self.cgroups]
                killed = maker.do("storm", procs=procs, count=BATCH, bytes=8 * MIB)
                if len(killed) != BATCH:
                    raise AssertionError(f"{BATCH} should have been killed, and {len(killed)} were")
                self.pids += killed
                for turn in range(BATCH):
                    self.made[self.cgroups[turn % len(self.cgroups)].path] += 1
                due += BATCH * self._interval
                self._ended.wait(max(0.0, due - time.monotonic()))
        except (AssertionError, OSError, ValueError) as error:
            self.failure = error
        finally:
            maker.end()

    def stop(self) -> None:
        """End, and raise what went wrong."""
        self._ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure


class PodKills:
    """Pods that live on while their children are killed."""

    def __init__(self, harness: Harness, *, pods: int, kills_each: int) -> None:
        self.made = {f"soak-{number}": kills_each for number in range(pods)}
        """Pod -> kills, once each has made all of its own."""
        namespace(harness.plane, NAMESPACE)
        loop = (
            f"i=0; while [ $i -lt {kills_each} ]; do "
            f"tail /dev/zero; sleep {POD_PAUSE_SECONDS}; i=$((i+1)); done"
        )
        for name in self.made:
            script = f"sleep 3; {loop}; sleep 100000"
            harness.apply(
                f"/api/v1/namespaces/{NAMESPACE}/pods/{name}",
                pod(name, container("app", script, limit="12Mi")),
            )

    @property
    def total(self) -> int:
        """All kills that the pods will have made in the end."""
        return sum(self.made.values())
