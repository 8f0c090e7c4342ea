"""`oomkeeper simulate` as a user runs it."""

import json
import re
from pathlib import Path

import pytest

from ..cli.running import oomkeeper

LOG = Path(__file__).resolve().parents[1] / "report" / "data" / "6.18-v1-adj.log"
"""A real kill of kernel 6.18: `test1` with oom_score_adj 1000 died beside an equally large `test`."""


def test_recorded_victim_and_agreement_are_printed() -> None:
    done = oomkeeper("simulate", LOG)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.decode().split())
    assert "test1 (13310) killed, as the score predicts" in text
    assert "> test1" in text


def test_other_values_choose_another_victim() -> None:
    done = oomkeeper(
        "simulate", LOG, "--oom-score-adj", "test1=0", "--oom-score-adj", "test2=500", "-o", "json"
    )
    [event] = json.loads(done.stdout)["simulations"]
    assert event["victim"].startswith("test2 (")
    assert event["recorded"]["agrees"] is True
    assert {task["comm"]: (task["recordedOomScoreAdj"], task["oomScoreAdj"]) for task in event["tasks"]} == {
        "test": (0, 0),
        "test1": (1000, 0),
        "test2": (0, 500),
    }


def test_panic_on_oom_2_panics_at_a_cgroup_limit() -> None:
    done = oomkeeper("simulate", LOG, "--panic-on-oom", "2")
    assert b"the kernel panics" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--oom-score-adj", "test1"),
        ("--oom-score-adj", "=5"),
        ("--oom-score-adj", "test1=1001"),
        ("--oom-score-adj", "test1=1e3"),
        ("--oom-score-adj", "longer-than-a-comm=5"),
        ("--oom-score-adj", "absent=5"),
        ("--panic-on-oom", "3"),
        ("--top", "0"),
    ],
)
def test_wrong_setting_is_one_line_and_exit_2(words: tuple[str, ...]) -> None:
    done = oomkeeper("simulate", LOG, *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_log_without_a_task_table_is_reported() -> None:
    text = "\n".join(
        line
        for line in LOG.read_text(errors="replace").splitlines()
        if "]  " not in line and "[  pid" not in line
    )
    done = oomkeeper("simulate", "-", stdin=text.encode())
    assert done.returncode == 0
    assert b"1 event without a task table" in done.stdout


def test_missing_file_is_one_line_and_exit_2() -> None:
    done = oomkeeper("simulate", "no-such-file")
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("output", ["text", "markdown", "html"])
def test_explain_page_has_the_what_if_section(output: str) -> None:
    done = oomkeeper("explain", LOG, "--output", output)
    text = done.stdout.decode()
    assert re.search(r"(^#* *|>|^ +)What if(</h2>|$)", text, re.MULTILINE)
    assert "vm.panic" in text.replace("\\", "")
