"""What the loop reported last, for the threads of the metrics server."""

from dataclasses import dataclass

from oomkeeper.model.node import NodeFacts

from .nodestatus import NodeView


@dataclass(slots=True)
class MetricsView:
    """Written by the loop's thread, read by the metrics."""

    facts: NodeFacts | None = None
    """None before the loop is built."""
    newest: NodeView | None = None
    """None before the loop's first report."""
