"""Settings of kopf that differ from its defaults, with the reasons."""

import logging
import re
from collections.abc import Iterator

import kopf

from oomkeeper.connection.retry import Backoff
from oomkeeper.model.names import GROUP

from .apiclient import PAGE

LONGEST_RETRY_SECONDS = 5.0
"""A change may be noticed this much later after the API server has recovered. There is one controller."""


class RetryDelays:
    """Delays between the attempts of one request, without end. kopf iterates it anew for each request."""

    def __iter__(self) -> Iterator[float]:
        backoff = Backoff(longest_seconds=LONGEST_RETRY_SECONDS)
        while True:
            yield backoff.failed()


class FewerAttempts(logging.Filter):
    """Keeps the 1st, 2nd, 4th, 8th and so on of kopf's messages about the attempts of one request: an outage
    of hours gives a line an hour and kind then, not one every few seconds."""

    _ATTEMPT = re.compile(r"Request attempt #(\d+)(?:/\d+)? failed; will retry")

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        found = self._ATTEMPT.match(record.getMessage())
        return found is None or int(found[1]).bit_count() == 1


def log_fewer_attempts() -> None:
    """Install the filter where kopf logs the requests of its watches."""
    logging.getLogger("kopf._cogs.clients.watching").addFilter(FewerAttempts())


def kopf_settings() -> kopf.OperatorSettings:
    """Return the settings of the controller."""
    settings = kopf.OperatorSettings()
    # Lists in pages: without it kopf keeps whole lists in memory. `initial_streaming` would avoid the lists,
    # but it needs Kubernetes 1.34, and kopf ends with an older API server's answer (422).
    settings.watching.chunk_size = PAGE
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.posting.enabled = False
    # The kinds are known and were served at the first list: there is no need to read CRDs or namespaces.
    settings.scanning.disabled = True
    # An idle object needs no task.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    # An API server that is away for hours is waited for: kopf would end after the last of its own delays.
    settings.networking.error_backoffs = RetryDelays()
    # A Retry-After is how long it takes, not only a minimum.
    settings.networking.enforce_retry_after = True
    # kopf removes its finalizer from every object it sees; the default name may belong to another operator
    # written with kopf.
    settings.persistence.finalizer = f"{GROUP}/controller"
    return settings
