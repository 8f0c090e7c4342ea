"""Facts in, verdict out: cause, level, outcome, contributors and advice for one `Kill`. Pure functions, no
I/O.

`diagnose` walks the decision procedure; each other module takes one decision of it.
"""

from .advice.repeated import RepeatedVictims
from .diagnose import diagnose

__all__ = ["RepeatedVictims", "diagnose"]
