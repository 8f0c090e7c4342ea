"""What the controller counts while it works, for its metrics."""

from oomkeeper.metrics.counts import Counts, Histogram

RECONCILE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of the histogram of the time that one run of the reconciler computes."""

REQUESTS = Counts()
"""HTTP status (`none` without an answer) -> requests of this process to the API server, kopf's included."""


class ControllerCounts:
    """Written by the controller's task, read by its metrics."""

    def __init__(self) -> None:
        self.reconcile_seconds = Histogram(RECONCILE_SECONDS)
        self.report_refreshes = 0
        self.notifications = Counts()
        """Result -> events for the webhook: `sent`, `failed` (an attempt), `expired`."""
        self.deleted_incidents = Counts()
        """Reason -> OOMIncidents deleted: `Expired`, `Bound`."""
