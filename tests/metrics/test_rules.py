"""Recording rules and alerts, checked and run by promtool; and a runbook for every alert."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.testbed.prometheus import Prometheus

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "oomkeeper" / "files" / "rules.yaml"
CASES = Path(__file__).with_name("alerts.yaml")
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def promtool(programs: Prometheus, *arguments: str | Path) -> str:
    command = [str(programs.promtool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_are_valid(programs: Prometheus) -> None:
    assert "SUCCESS" in promtool(programs, "check", "rules", RULES)


def test_alerts_fire_where_they_should_and_not_elsewhere(programs: Prometheus, tmp_path: Path) -> None:
    """promtool would compare annotations word for word: the rules are tested without them."""
    document = yaml.safe_load(RULES.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / CASES.name).write_text(CASES.read_text())
    assert "SUCCESS" in promtool(programs, "test", "rules", tmp_path / CASES.name)


@pytest.mark.parametrize("alert", [one["alert"] for one in alerts()])
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    tests = yaml.safe_load(CASES.read_text())["tests"]
    expected = [
        one["exp_alerts"] for test in tests for one in test["alert_rule_test"] if one["alertname"] == alert
    ]
    assert any(expected)
    assert not all(expected)


@pytest.mark.parametrize("alert", alerts(), ids=lambda one: one["alert"])
def test_every_alert_has_severity_text_and_a_runbook(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("warning", "critical")
    of_workload = {"limit", "remedy", "incident"} if "Workload" in name else set()
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"} | of_workload
    assert alert["annotations"]["runbook_url"] == f"RUNBOOKS/{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert "```console\n$ " in page
    assert f"({name}.md)" in (RUNBOOKS / "README.md").read_text()


def test_every_runbook_belongs_to_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == {one["alert"] for one in alerts()}
