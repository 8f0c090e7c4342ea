"""The node's pods, kept in the store as well: after a restart without the API server, kills still find their
pods."""

from collections.abc import Sequence

from .lost_runs import with_lost_runs
from .pods import Pod, PodTable
from .store import Store


class NodePods:
    """The pod table and its copy in the store. Used from the loop's thread."""

    def __init__(self, *, table: PodTable, store: Store) -> None:
        self.table = table
        self._store = store
        if not table.synced:
            table.restore(store.pods())

    def replace(self, pods: Sequence[Pod], *, now: float) -> None:
        """Take the API server's list."""
        self.table.replace([self._with_lost_runs(pod) for pod in pods], now=now)
        with self._store.transaction():
            for pod in self.table.all():
                self._store.put_pod(pod)

    def put(self, pod: Pod, *, deleted: bool, now: float) -> None:
        """Take one change."""
        self.table.put(self._with_lost_runs(pod))
        if deleted:
            self.table.remove(pod.facts.uid, now=now)
        known = self.table.find(pod.facts.uid)
        if known is not None:
            self._store.put_pod(known)

    def _with_lost_runs(self, pod: Pod) -> Pod:
        return with_lost_runs(pod, self.table.find(pod.facts.uid))

    def sweep(self, *, now: float) -> None:
        """Forget pods that were deleted a while ago."""
        for uid in self.table.sweep(now=now):
            self._store.drop_pod(uid)
