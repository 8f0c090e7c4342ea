"""What the loop reports, and to whom: `oomkeeper node` prints kills, `oomkeeper agent` publishes."""

from typing import TYPE_CHECKING

from oomkeeper.resources.killrecord import RecordedKill

if TYPE_CHECKING:
    from .nodestatus import NodeView


class LoopListener:
    """Called in the loop's thread. Every method may be overridden; none does anything here."""

    def kill_recorded(self, record: RecordedKill) -> None:
        """Take the record of a kill whose event is closed and whose pod is settled. Called once per kill and
        run."""

    def incidents_changed(self) -> None:
        """Note that the store may hold incidents that are not published."""

    def node_changed(self, view: "NodeView") -> None:
        """Take what OOMNode.status shows; called when it may have changed."""
