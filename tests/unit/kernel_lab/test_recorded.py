"""Every cause made on real kernels, and the verdict on the guest's own log; without a guest, for the logs and
what the lab did are those that `make kernel-lab` keeps."""

import pytest

from tests.kernel_lab.cases import cases
from tests.kernel_lab.logs import CANNOT, SETS, load
from tests.kernel_lab.truth import Recording
from tests.kernel_lab.verdict import differences

RECORDINGS = [(name, recording) for name in SETS for recording in load(name)]


@pytest.mark.parametrize(
    "recording",
    [recording for _, recording in RECORDINGS],
    ids=[f"{name}-{recording.name}" for name, recording in RECORDINGS],
)
def test_the_verdict_is_what_the_lab_did(recording: Recording) -> None:
    assert differences(recording.truth, recording.log) == []


@pytest.mark.parametrize("name", SETS)
def test_every_case_is_recorded_or_said_to_be_impossible(name: str) -> None:
    expected = {case.name for case in cases(cgroups=name[-2:])} - CANNOT.get(name, {}).keys()
    assert {recording.name for recording in load(name)} == expected
