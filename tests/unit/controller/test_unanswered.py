"""Time without an answer of the agent."""

from oomkeeper.controller.unanswered import UnansweredSince

from .builders import oomnode


def test_unanswered_time_starts_with_the_new_generation() -> None:
    silence = UnansweredSince()
    waiting = oomnode("n", generation=2, observed=1)
    assert silence.seconds("n", state=waiting, now=100.0) == 0
    assert silence.seconds("n", state=waiting, now=170.0) == 70
    assert silence.seconds("n", state=oomnode("n", generation=3, observed=1), now=180.0) == 0
    assert silence.seconds("n", state=oomnode("n", generation=3, observed=3), now=190.0) == 0
    assert silence.seconds("n", state=None, now=300.0) == 0
    assert silence.seconds("n", state=None, now=310.0) == 10
