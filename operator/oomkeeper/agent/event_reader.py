"""The Events of one pod, read when the end of a container needs them.

An agent watches no Events: each cluster has far more of them than anything else. It lists those of one pod,
for an end by SIGKILL that nothing else explains, at most MOST_PER_MINUTE times a minute. The API server reads
the namespace's Events from etcd for that, because it does not cache them.

Anyone who may create Events in the namespace can write them, and give any source. So they are claims.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import KeyedBackoff
from oomkeeper.logformat import get_logger
from oomkeeper.model.escaping import printable
from oomkeeper.model.killer import KOORDLET, KOORDLET_EVICTED, EventFact
from oomkeeper.model.times import parse_time

from .bounded_table import drop_oldest
from .kube.client import ApiClient
from .kube.errors import ApiError

log = get_logger(__name__)

MOST_PER_MINUTE = 6
MOST_EVENTS = 100
"""Events of one pod that are read."""
KEPT_ANSWERS = 256
_MAX_REASON = 64
_MAX_MESSAGE = 512
_SOURCES = ("kubelet", "default-scheduler", KOORDLET)
_NEEDED = (
    *("Killing", "Evicted", "Preempted", "Preempting", "FailedPostStartHook", "Unhealthy"),
    KOORDLET_EVICTED,
)


class EventsAnswer(NamedTuple):
    """What was read for one container's end."""

    events: tuple[EventFact, ...] | None
    """None: they could not be read."""
    problem: str | None = None
    """Why not, as a sentence."""


class EventsOf(NamedTuple):
    """Whose Events are read, and for which end."""

    namespace: str
    pod_uid: str
    container_id: str


AskEvents = Callable[[EventsOf], EventsAnswer | None]
"""Return the Events of a pod, None while they are not read."""


def no_events(_of: EventsOf) -> EventsAnswer | None:
    """Answer without an API server."""
    return EventsAnswer(None, "The pod's Events were not read: there is no API server.")


class _Object(msgspec.Struct, rename="camel"):
    field_path: str | None = None


class _Source(msgspec.Struct, rename="camel"):
    component: str | None = None


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    """The fields of a v1 Event that are needed."""

    reason: str | None = None
    message: str | None = None
    involved_object: _Object | None = None
    source: _Source | None = None
    reporting_component: str | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None


class EventReader:
    """`ask` is for one thread, the agent's loop; requests are made in a thread of its own, which starts with
    the first one."""

    def __init__(
        self,
        *,
        config: ApiConfig,
        answered: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`answered` is called, from the other thread, after Events were read."""
        self._config = config
        self._answered = answered
        self._clock = clock
        self._answers: dict[str, EventsAnswer] = {}
        self._asked: set[str] = set()
        self._recent: deque[float] = deque(maxlen=MOST_PER_MINUTE)
        self._backoff = KeyedBackoff()
        self._queue: queue.SimpleQueue[EventsOf] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, of: EventsOf) -> EventsAnswer | None:
        """Return the Events of a pod for one end of a container; None while they are not read. The first call
        asks for them, as soon as the bound permits."""
        if (answer := self._answers.get(of.container_id)) is not None:
            return answer
        now = self._clock()
        full = len(self._recent) == MOST_PER_MINUTE and now - self._recent[0] < 60.0
        if of.container_id in self._asked or full or not self._backoff.may(of.pod_uid, now=now):
            return None
        self._recent.append(now)
        self._asked.add(of.container_id)
        self._queue.put(of)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="events", daemon=True)
            self._thread.start()
        return None

    def _run(self) -> None:
        client = ApiClient(self._config)
        while True:
            self.read(client, self._queue.get())

    def read(self, client: ApiClient, of: EventsOf) -> None:
        """Read the Events of one pod. Where the API server does not answer, the next `ask` tries again."""
        try:
            events, _ = client.list_items(
                f"/api/v1/namespaces/{quote(of.namespace, safe='')}/events",
                decode=_decode,
                resource_version="",
                fieldSelector=f"involvedObject.uid={of.pod_uid}",
                limit=str(MOST_EVENTS),
            )
        except ApiError as error:
            if error.status is None or error.status in (429, 503):
                log.warning("events not read", namespace=of.namespace, error=error)
                retry_after = error.retry_after_seconds
                self._backoff.failed(of.pod_uid, now=self._clock(), retry_after_seconds=retry_after)
                self._asked.discard(of.container_id)
                return
            log.info("events not readable", namespace=of.namespace, status=error.status)
            answer = EventsAnswer(None, f"The pod's Events were not read: HTTP {error.status}.")
        else:
            answer = EventsAnswer(tuple(one for one in events if one is not None))
        self._backoff.succeeded(of.pod_uid)
        self._answers[of.container_id] = answer
        drop_oldest(self._answers, most=KEPT_ANSWERS)
        self._asked.discard(of.container_id)
        self._answered()


def _decode(data: bytes) -> EventFact | None:
    """Return the Event where it is one that explains why kubelet stops a container."""
    try:
        event = _DECODER.decode(data)
    except msgspec.DecodeError:
        return None
    component = (event.source.component if event.source else None) or event.reporting_component
    if event.reason not in _NEEDED or component not in _SOURCES:
        return None
    path = event.involved_object.field_path if event.involved_object else None
    first = parse_time(event.first_timestamp) or parse_time(event.event_time)
    last = parse_time(event.last_timestamp) or (
        parse_time(event.series.last_observed_time) if event.series else None
    )
    return EventFact(
        reason=printable(event.reason[:_MAX_REASON]),
        message=printable((event.message or "")[:_MAX_MESSAGE])[:_MAX_MESSAGE],
        container=_container(path),
        first_at=first,
        last_at=last or first,
    )


def _container(field_path: str | None) -> str | None:
    """`spec.containers{app}` -> `app`."""
    kind, _, rest = (field_path or "").partition("{")
    return rest.removesuffix("}")[:63] if kind.startswith("spec.") and rest.endswith("}") else None


_DECODER = msgspec.json.Decoder(_Event)
