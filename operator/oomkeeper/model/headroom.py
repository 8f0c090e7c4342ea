"""How much more than a process used its limit should allow."""

from .units import round_up

HEADROOM = 0.2
"""As the VerticalPodAutoscaler bumps after an OOM (oomBumpUpRatio 1.2)."""


def with_headroom(used_bytes: int) -> int:
    """Return the limit for this usage: 20 % more, rounded up to a size that people write."""
    return round_up(int(used_bytes * (1 + HEADROOM)))
