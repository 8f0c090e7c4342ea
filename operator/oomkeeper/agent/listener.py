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

    def kills_before_install(self, *, count: int, left_out: int) -> None:
        """Take the number of kills before the first start: those recorded, and those in the kernel log that
        were too many or too old. `kill_recorded` is not called for them."""

    def incidents_changed(self) -> None:
        """Note that the store may hold incidents that are not published."""

    def node_changed(self, view: "NodeView") -> None:
        """Take what OOMNode.status shows; called when it may have changed."""
