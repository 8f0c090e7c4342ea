"""What `simulate` says of other sysctls, against a guest that had them set."""

import pytest

from oomkeeper.diagnosis.whatif import Settings, simulate
from oomkeeper.model.kill import Kill
from tests.kernel_lab.logs import SETS, load
from tests.kernel_lab.truth import Recording
from tests.kernel_lab.verdict import events

RECORDED = {name: {recording.name: recording for recording in load(name)} for name in SETS}
each_set = pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED.keys())


def first(recording: Recording) -> Kill:
    return events(recording.log)[0][0]


@each_set
@pytest.mark.parametrize(
    ("as_it_was", "with_it_set", "value"),
    [
        ("three", "panic1", 1),
        ("three", "panic2", 2),
        ("own", "panic1-cgroup", 1),
        ("own", "panic2-cgroup", 2),
        ("mbind", "panic2-mbind", 2),
    ],
)
def test_what_if_panic_on_oom_matches_the_recorded_panic(
    recorded: dict[str, Recording], as_it_was: str, with_it_set: str, value: int
) -> None:
    outlook = simulate(first(recorded[as_it_was]), Settings(panic_on_oom=value))
    assert outlook.outcome == recorded[with_it_set].truth.facts["outcome"]


@each_set
def test_what_if_allocating_task_matches_the_recorded_victims(recorded: dict[str, Recording]) -> None:
    recording = recorded["allocating"]
    kill = first(recording)
    victim = simulate(kill, Settings(kill_allocating_task=True)).victim
    assert victim is not None
    assert (victim.row.pid, victim.row.comm) in recording.truth.victims
    by_score = simulate(kill, Settings()).victim
    assert by_score is not None
    assert by_score.row.comm == "large"
