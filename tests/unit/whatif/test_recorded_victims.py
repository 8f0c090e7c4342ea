"""The score worked out from the table against the victim that the kernel really chose: in the project's own
logs, and in the corpus beside the checkout."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomkeeper.diagnosis.whatif import chosen_row, rank
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Kill

_ROOT = Path(__file__).resolve().parents[3]
CORPUS = Path(os.environ.get("OOMKEEPER_CORPUS") or _ROOT.parent / "shared" / "corpus")
OWN = sorted(
    [
        *(_ROOT / "tests" / "unit").glob("*/data/*.log"),
        *(_ROOT / "tests").glob("kernel_lab/**/*.log"),
        *(_ROOT / "tests").glob("kernel_lab/**/*.log.gz"),
    ]
)

EXPLAINED = {
    ("009-lukeshirnia-el6-2.6.32-syslog.log", 0): "2.6.32's table leaves out swap, where mysqld mostly was",
    ("010-lukeshirnia-el6-2.6.32-burst-8-ooms.log", 6): "the same: one php-fpm of many, by its swap",
    ("014-lkml-5.x-kubepods-pod-pause-killed-abridged.log", 0): "the excerpt leaves out the limit that "
    "oom_score_adj -998 counts in; the kernel before 5.9 gave every task there one point",
    ("015-lkml-5.8-next-caller-prefix-then-deadlock-panic.log", 0): "all with more points were dying "
    "already: dbus-daemon, one point, was the last that could be killed, and then the kernel panicked",
    ("028-lkml-6.16-bpf-psi-constraint.log", 0): "a BPF program chose: the score is not asked",
}


def _kills(path: Path) -> Iterator[tuple[int, Kill]]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        yield from enumerate(parse_records(read_records(stream)))


def _comparable(path: Path) -> Iterator[tuple[int, Kill]]:
    for number, kill in _kills(path):
        if kill.tasks and chosen_row(kill) is not None:
            yield number, kill


def _agrees(kill: Kill) -> bool:
    chosen = rank(kill).chosen
    return chosen is not None and chosen.row is chosen_row(kill)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_score_predicts_the_victims_of_our_own_logs(path: Path) -> None:
    for number, kill in _comparable(path):
        if kill.invoker is not None and "allocating" in path.name:
            continue
        assert _agrees(kill), (number, kill.chosen_pid, [task.row.pid for task in rank(kill).tasks[:3]])


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of public logs at {CORPUS.name}")
def test_score_predicts_the_victims_of_public_logs_with_five_explained_exceptions() -> None:
    verdicts = {
        (path.name, number): _agrees(kill)
        for path in sorted(CORPUS.glob("*.log"))
        for number, kill in _comparable(path)
    }
    assert {at for at, agrees in verdicts.items() if not agrees} == set(EXPLAINED)
    assert sum(verdicts.values()) >= 33


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus of public logs at {CORPUS.name}")
def test_log_without_enough_evidence_gives_no_prediction() -> None:
    [(_, kill)] = _comparable(CORPUS / "014-lkml-5.x-kubepods-pod-pause-killed-abridged.log")
    assert not rank(kill).known
    assert rank(kill).chosen is None
