"""Lines of user space OOM killers in the kernel log, kept until the end of the container is explained.

They are claims (kernel/user_space_kills.py). A few of the newest are kept, also over kill -9: the log's
cursor may be past them."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from oomkeeper.kernel.cgroup.kubepods import parse_kube_cgroup
from oomkeeper.kernel.report.text import readable
from oomkeeper.kernel.user_space_kills import reported_kill
from oomkeeper.model.escaping import printable
from oomkeeper.model.killer import KillClaim
from oomkeeper.model.log import LogRecord

from .clock import wall_of_kernel_time
from .records import CLAIMS_NOTE, ClaimNote
from .store import Store

KEPT = 64
"""Claims. More forged lines than that hide the others, and no proof."""
STORE_SECONDS = 1.0
"""Between two writes: a flood of lines is one write a second."""
_LONGEST_TEXT = 400
_LONGEST_PATH = 512


class KillClaims:
    """Used from the loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        boot_id: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._boot_id = boot_id
        self._clock = clock
        self._wall = wall
        kept = store.note(CLAIMS_NOTE, tuple[ClaimNote, ...]) or ()
        self._claims = deque((one for one in kept if one.boot == boot_id), maxlen=KEPT)
        self._stored_at = -math.inf
        self._is_stored = True

    def seen(self, records: Iterable[LogRecord]) -> Iterator[LogRecord]:
        """Yield the records as they come, and keep the claims among them."""
        for record in records:
            if not record.kernel:
                self._take(record)
            yield record

    def _take(self, record: LogRecord) -> None:
        found = reported_kill(record)
        if found is None or record.usec is None:
            return
        claim = ClaimNote(
            boot=self._boot_id,
            usec=record.usec,
            program=found.program,
            text=printable(readable(record.text[:_LONGEST_TEXT]))[:_LONGEST_TEXT],
            cgroup=found.cgroup[:_LONGEST_PATH] if found.cgroup is not None else None,
            pid=found.pid,
        )
        if claim not in self._claims:  # a log is read again after kill -9
            self._claims.append(claim)
            self._is_stored = False

    def tick(self) -> None:
        """Store what is new."""
        now = self._clock()
        if not self._is_stored and now - self._stored_at >= STORE_SECONDS:
            self._store.put_note(CLAIMS_NOTE, tuple(self._claims))
            self._is_stored, self._stored_at = True, now

    def about(
        self, *, container_id: str, pod_uids: Iterable[str], pids: Iterable[int]
    ) -> tuple[KillClaim, ...]:
        """Return the claims that name the container, its whole pod, or one of the processes, oldest first."""
        uids, killed = set(pod_uids), set(pids)
        return tuple(
            KillClaim(
                at=wall_of_kernel_time(one.usec, now=self._wall(), uptime=self._clock()),
                program=one.program,
                text=one.text,
            )
            for one in self._claims
            if one.pid in killed or _names(one.cgroup, container_id=container_id, pod_uids=uids)
        )


def _names(cgroup: str | None, *, container_id: str, pod_uids: set[str]) -> bool:
    kube = parse_kube_cgroup(cgroup) if cgroup is not None else None
    if kube is None:
        return False
    if kube.container_id is not None:
        return kube.container_id == container_id
    return kube.pod_uid in pod_uids
