"""The requests that this process has sent to the API server."""

from oomkeeper.metrics.counts import Counts

REQUESTS = Counts()
"""HTTP status (`none` without an answer) -> requests, of all clients of the process."""
