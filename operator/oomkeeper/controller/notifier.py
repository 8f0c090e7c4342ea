"""Kills to the webhook, each at least once.

How many kills of an incident were sent is an annotation of the incident, written after the receiver has
accepted the event. A controller that is killed between the two sends the same event again, with the same id.
Events wait in the API server, as incidents whose annotation is behind, and nowhere else: what is in memory is
at most one pending request per incident.
"""

import asyncio
from collections.abc import Callable, Iterable

from oomkeeper.connection.retry import Backoff
from oomkeeper.logformat import get_logger
from oomkeeper.model.names import NOTIFIED_ANNOTATION
from oomkeeper.reporting.incident import Incident

from .apiclient import APIClient, APIError
from .cache import ClusterCache
from .cloud_event import cloud_event, event_id
from .counts import ControllerCounts
from .kinds import INCIDENT
from .webhook import PARALLEL, Webhook
from .write_queue import LONGEST_RETRY_SECONDS, Lane, Write, WriteQueue

_log = get_logger(__name__)

INTERVAL_SECONDS = 10.0
"""Shortest time between two events about one incident."""
SENT, FAILED, EXPIRED = "sent", "failed", "expired"
_PREFIX = "Webhook/"


class Notifier:
    """Submits an event for every incident that has kills which were not sent."""

    def __init__(
        self,
        *,
        webhook: Webhook,
        api: APIClient,
        cache: ClusterCache,
        queue: WriteQueue,
        counts: ControllerCounts,
        monotonic: Callable[[], float],
    ) -> None:
        """`monotonic`: for intervals."""
        self._webhook = webhook
        self._api = api
        self._cache = cache
        self._queue = queue
        self._counts = counts
        self._monotonic = monotonic
        self._lane = Lane(parallel=PARALLEL)
        self._accepted: dict[str, int] = {}
        """Incident's uid -> kills that the receiver has accepted, until the annotation says so."""
        self._expired: dict[str, int] = {}
        """Incident's uid -> kills that were too old to be sent."""
        self._backoff = Backoff(longest_seconds=LONGEST_RETRY_SECONDS)
        self._closed_until = 0.0
        """No request before this time: the last one failed."""

    def pending(self) -> int:
        """Return the number of incidents with kills that are not sent."""
        return self._queue.pending(_PREFIX)

    def offer_all(self, incidents: Iterable[Incident], *, now: float) -> None:
        """Send what is not sent of all incidents; nothing else is pending afterwards."""
        keep, notified = set(), {}
        for incident in incidents:
            notified[incident.uid] = incident.notified
            if (key := self.offer(incident, now=now)) is not None:
                keep.add(key)
        self._queue.withdraw_others(_PREFIX, keep=keep)
        for known in (self._accepted, self._expired):
            for uid, kills in list(known.items()):
                if notified.get(uid, kills) >= kills:
                    del known[uid]

    def offer(self, incident: Incident, *, now: float) -> str | None:
        """Send the kills of an incident that are not sent. Return the key of the request, None for none."""
        if incident.count == incident.notified or incident.last_seen is None or not incident.uid:
            return None
        if incident.count > incident.notified and now - incident.last_seen > self._webhook.max_age_seconds:
            self._expire(incident)
            return None
        key = f"{_PREFIX}{incident.namespace}/{incident.name}"

        async def run() -> None:
            # The count falls when a kill turns out to belong to another incident.
            if incident.count > max(incident.notified, self._accepted.get(incident.uid, 0)):
                await self._send(incident)
            await self._annotate(incident)

        self._queue.submit(
            key,
            Write(
                content=(incident.uid, incident.count),
                run=run,
                lane=self._lane,
                interval_seconds=INTERVAL_SECONDS,
            ),
        )
        return key

    async def _send(self, incident: Incident) -> None:
        while (delay := self._closed_until - self._monotonic()) > 0:
            await asyncio.sleep(delay)
        try:
            await self._webhook.post(cloud_event(incident, cluster=self._webhook.cluster))
        except APIError:
            self._closed_until = self._monotonic() + self._backoff.failed()
            self._counts.notifications.add(FAILED)
            raise
        self._backoff.succeeded()
        self._closed_until = 0.0
        self._accepted[incident.uid] = incident.count
        self._counts.notifications.add(SENT)

    async def _annotate(self, incident: Incident) -> None:
        path = INCIDENT.path(name=incident.name, namespace=incident.namespace)
        answer = await self._api.merge(
            path,
            {"metadata": {"uid": incident.uid, "annotations": {NOTIFIED_ANNOTATION: str(incident.count)}}},
        )
        self._cache.store(INCIDENT, answer)

    def _expire(self, incident: Incident) -> None:
        """Count the kills that are too old, once."""
        kills = incident.count - max(incident.notified, self._expired.get(incident.uid, 0))
        if kills > 0:
            self._expired[incident.uid] = incident.count
            self._counts.notifications.add(EXPIRED)
            _log.warning("notification expired", id=event_id(incident), kills=kills)
