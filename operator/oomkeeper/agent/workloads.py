"""The workload that a pod counts for: the top of its owners, so that all pods of a Deployment or CronJob are
one.

A pod names its controller in metadata.ownerReferences. Only two kinds have an owner that people know better:
a ReplicaSet (Deployment, or a custom one such as an Argo Rollout) and a Job (CronJob). Their metadata is read
once per owner, at its first kill; every other controller, built-in or custom, is the workload itself. Names
decide nothing: a Job `migrate-20261127` does not belong to a CronJob `migrate` unless its owner reference
says so. Why the agent does this and not the controller: docs/decisions/107.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import KeyedBackoff
from oomkeeper.logformat import get_logger
from oomkeeper.model.pod import Owner, PodFacts
from oomkeeper.resources.oomincident import WorkloadIdentity, WorkloadReference

from .bounded_table import drop_oldest
from .kube.client import ApiClient
from .kube.errors import ApiError
from .pod_object import Metadata, controller_of

log = get_logger(__name__)

KEPT_OWNERS = 4096
"""Owners remembered, the newest."""

_FOLLOWED = {("apps", "ReplicaSet"): "replicasets", ("batch", "Job"): "jobs"}

WorkloadOf = Callable[[PodFacts], WorkloadReference | None]
"""Return the workload of a pod; None while it is not known yet."""


IdentityOf = Callable[[PodFacts], WorkloadIdentity | None]
"""Return which object the workload of a pod is; None where it is the pod itself, or not known."""


def direct_owner(pod: PodFacts) -> WorkloadReference:
    """Return the pod's controller; the pod itself where it has none, or where its controller is the Node (a
    mirror pod)."""
    if pod.owner is None or pod.owner.kind == "Node":
        return WorkloadReference(kind="Pod", name=pod.name)
    return _reference(pod.owner)


def direct_identity(pod: PodFacts) -> WorkloadIdentity | None:
    """Return which object the pod's controller is; None where the pod is its own workload."""
    return None if pod.owner is None or pod.owner.kind == "Node" else _identity(pod.owner)


def _reference(owner: Owner) -> WorkloadReference:
    return WorkloadReference(kind=owner.kind, name=owner.name)


def _identity(owner: Owner) -> WorkloadIdentity | None:
    if not owner.uid or not owner.version:
        return None
    version = f"{owner.group}/{owner.version}" if owner.group else owner.version
    return WorkloadIdentity(api_version=version, uid=owner.uid)


class WorkloadResolver:
    """`workload` is for one thread, the agent's loop; requests are made in a thread of its own, which starts
    with the first one."""

    def __init__(
        self,
        *,
        config: ApiConfig,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is called, from the other thread, after a workload has become known."""
        self._config = config
        self._changed = changed
        self._clock = clock
        self._known: dict[str, Owner] = {}
        """Owner of a pod, by its uid -> the top of its owners."""
        self._asked: set[str] = set()
        self._backoff = KeyedBackoff()
        self._queue: queue.SimpleQueue[tuple[PodFacts, Owner]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def workload(self, pod: PodFacts) -> WorkloadReference | None:
        """Return the pod's workload; None while the API server has not answered for it. A kill can wait for
        that: without the API server it cannot be published anyway."""
        owner = pod.owner
        if owner is None or (owner.group, owner.kind) not in _FOLLOWED:
            return direct_owner(pod)
        if (known := self._known.get(owner.uid)) is not None:
            return _reference(known)
        if owner.uid not in self._asked and self._backoff.may(owner.uid, now=self._clock()):
            self._asked.add(owner.uid)
            self._queue.put((pod, owner))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="workloads", daemon=True)
                self._thread.start()
        return None

    def identity(self, pod: PodFacts) -> WorkloadIdentity | None:
        """Return which object the pod's workload is; None where that is the pod itself, or not known."""
        owner = pod.owner
        if owner is None or (owner.group, owner.kind) not in _FOLLOWED:
            return direct_identity(pod)
        top = self._known.get(owner.uid)
        return _identity(top) if top is not None else None

    def _run(self) -> None:
        client = ApiClient(self._config)
        while True:
            self._read(client, *self._queue.get())

    def _read(self, client: ApiClient, pod: PodFacts, owner: Owner) -> None:
        """Read the owner's metadata and remember the workload. An owner that is gone, replaced by another of
        its name, or not readable is the workload itself; no answer at all leaves it unknown."""
        plural = _FOLLOWED[owner.group, owner.kind]
        namespace, name = quote(pod.namespace, safe=""), quote(owner.name, safe="")
        meta = Metadata()
        try:
            path = f"/apis/{owner.group}/v1/namespaces/{namespace}/{plural}/{name}"
            meta = _metadata(client.get(path, resourceVersion="0"))
        except ApiError as error:
            if error.status not in (403, 404):
                log.warning("owner not read", kind=owner.kind, name=owner.name, error=error)
                retry_after = error.retry_after_seconds
                self._backoff.failed(owner.uid, now=self._clock(), retry_after_seconds=retry_after)
                self._asked.discard(owner.uid)
                return
            log.info("owner not readable", kind=owner.kind, name=owner.name, status=error.status)
        above = controller_of(meta) if meta.uid == owner.uid else None
        self._known[owner.uid] = above or owner
        drop_oldest(self._known, most=KEPT_OWNERS)
        self._asked.discard(owner.uid)
        self._backoff.succeeded(owner.uid)
        self._changed()


def _metadata(document: dict[str, Any]) -> Metadata:
    try:
        return msgspec.convert(document.get("metadata") or {}, Metadata)
    except msgspec.ValidationError:
        return Metadata()
