"""Without permission to kill: a kill on another machine, explained from its kernel log."""

from pathlib import Path

from .narration import Narrator
from .running import CHECKOUT, oomkeeper_output

LOG = Path(__file__).with_name("recorded.log")


def show(tell: Narrator) -> None:
    """Explain the recorded log."""
    tell.step("Explain a recorded kernel log instead")
    tell.say(
        "The same kill, as reported by another machine's kernel. `explain` needs neither root nor a cluster, "
        "and reads any log with kernel messages."
    )
    name = str(LOG.relative_to(CHECKOUT))
    tell.command(["oomkeeper", "explain", name])
    text = oomkeeper_output("explain", name)
    tell.output(text)
    tell.fact("test1" in text, "the recorded victim is test1")
    tell.done("a recorded kernel log, explained")
