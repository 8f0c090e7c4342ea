"""How much a soak does."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is done, at least."""

    kills: int
    kills_per_minute: int
    """In the cgroups of the machine and in pods together; fewer on a machine that does not manage so many."""
    agent_kills: int
    """SIGKILLs of the agent, at random moments."""
    controller_kills: int
    api_outage_seconds: float
    stopped_seconds: float
    """How long the agent gets no CPU (SIGSTOP), while the kernel log is overwritten."""
    full_disk_seconds: float
    clock_step_seconds: float
    steady_seconds: float
    """Before the first fault, and after the last."""
    storm_seconds: float
    """After that: kills at the same rate, in which memory and writes are measured."""


SMALL = Size(
    kills=250,
    kills_per_minute=300,
    agent_kills=4,
    controller_kills=1,
    api_outage_seconds=10,
    stopped_seconds=5,
    full_disk_seconds=5,
    clock_step_seconds=3600,
    steady_seconds=5,
    storm_seconds=10,
)
FULL = Size(
    kills=10_000,
    kills_per_minute=1000,
    agent_kills=100,
    controller_kills=20,
    api_outage_seconds=600,
    stopped_seconds=30,
    full_disk_seconds=30,
    clock_step_seconds=3600,
    steady_seconds=60,
    storm_seconds=600,
)
MEDIUM = Size(
    kills=6000,
    kills_per_minute=1000,
    agent_kills=60,
    controller_kills=6,
    api_outage_seconds=60,
    stopped_seconds=30,
    full_disk_seconds=30,
    clock_step_seconds=3600,
    steady_seconds=30,
    storm_seconds=60,
)
"""As many kills as the agent's state keeps records of, so that each can be looked up."""
SIZES = {"small": SMALL, "medium": MEDIUM, "full": FULL}
