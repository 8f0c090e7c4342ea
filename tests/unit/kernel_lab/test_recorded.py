"""Every cause made on real kernels, and the verdict on the guest's own log; without a guest, for the logs and
what the lab did are those that `make kernel-lab` keeps."""

import io
from pathlib import Path

import pytest

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Confidence, ContributorName
from tests.kernel_lab.cases import cases
from tests.kernel_lab.logs import CANNOT, SETS, load
from tests.kernel_lab.truth import Recording
from tests.kernel_lab.verdict import differences, events

PAGE = Path(__file__).resolve().parents[3] / "docs" / "kernel-lab.md"
RECORDINGS = [(name, recording) for name in SETS for recording in load(name)]


@pytest.mark.parametrize(
    "recording",
    [recording for _, recording in RECORDINGS],
    ids=[f"{name}-{recording.name}" for name, recording in RECORDINGS],
)
def test_verdict_matches_what_the_lab_did(recording: Recording) -> None:
    assert differences(recording.truth, recording.log) == []


@pytest.mark.parametrize("name", SETS)
def test_every_case_is_recorded_or_documented_as_impossible(name: str) -> None:
    expected = {case.name for case in cases(cgroups=name[-2:])} - CANNOT.get(name, {}).keys()
    assert {recording.name for recording in load(name)} == expected


def test_page_lists_every_case_with_its_description() -> None:
    rows = PAGE.read_text().splitlines()
    for case in cases():
        assert any(row.startswith(f"| `{case.name}` | {case.says} |") for row in rows), case.name


@pytest.mark.parametrize("name", SETS)
def test_unreclaimable_files_count_as_page_cache(name: str) -> None:
    [order3] = [recording for recording in load(name) if recording.name == "order3"]
    sizes = {part.name: part.bytes for part in events(order3.log)[0][1].contributors}
    assert sizes[ContributorName.PAGE_CACHE] > 100 << 20
    assert sizes.get(ContributorName.ANONYMOUS, 0) < 10 << 20


@pytest.mark.parametrize(
    "case", ["cpuset", "mempolicy", "mbind", "zone", "order3", "own", "kube-pod", "three"]
)
def test_truncated_report_never_gets_a_wrong_high_confidence_verdict(case: str) -> None:
    [recording] = [one for one in load("6.12-v2") if one.name == case]
    lines = recording.log.splitlines(keepends=True)
    begin = next(at for at, line in enumerate(lines) if b"invoked oom-killer" in line)
    for end in range(begin + 1, len(lines)):
        for kill in parse_records(read_records(io.BytesIO(b"".join(lines[begin:end])))):
            verdict = diagnose(kill)
            sure = verdict.confidence is Confidence.HIGH
            assert not sure or verdict.cause == recording.truth.facts["cause"], lines[end - 1]
