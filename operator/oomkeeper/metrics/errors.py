"""What the metrics server can fail with."""


class MetricsPortError(Exception):
    """The metrics port cannot be bound; the message says which and why."""
