"""What contributors and workflows rely on exists: make targets, pinned actions, one version, linked files."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.testbed.release import problems

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def _steps(workflow: Path) -> Iterator[dict[str, str]]:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job["steps"]


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=_named)
def test_workflows_call_existing_make_targets(workflow: Path) -> None:
    commands = "\n".join(step.get("run", "") for step in _steps(workflow))
    lines = re.findall(r"^(?:sudo --\S+ )?make ((?:[a-z][a-z-]+ ?)+)", commands, re.MULTILINE)
    called = {word for line in lines for word in line.split()}
    assert called
    assert called <= TARGETS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=_named)
def test_actions_are_pinned_to_one_version(workflow: Path) -> None:
    used = [step["uses"] for step in _steps(workflow) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+\.\d+\.\d+|\./.+", one)] == []


def test_unit_tests_run_on_every_supported_python() -> None:
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = ci["jobs"]["unit"]["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={versions[0]}"
    classifiers = {line.rpartition(" :: ")[2] for line in project["classifiers"] if "Python :: 3." in line}
    assert set(versions) == classifiers


def test_package_chart_and_changelog_have_one_version() -> None:
    assert problems(f"v{VERSION}") == []


def test_another_tag_is_refused_with_every_place_that_differs() -> None:
    assert problems("v99.0.0") == [
        f"pyproject.toml: {VERSION}, not 99.0.0",
        f"version in Chart.yaml: {VERSION}, not 99.0.0",
        f"appVersion in Chart.yaml: {VERSION}, not 99.0.0",
        f"newest version in CHANGELOG.md: {VERSION}, not 99.0.0",
    ]


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_make_targets_named_in_pages_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`make (?:-s )?([a-z][a-z0-9-]*)[^`\n]*`|^\$ make ([a-z0-9-]+)", text, re.MULTILINE)
    assert {target for pair in named for target in pair if target} <= TARGETS


def test_licence_is_the_one_that_the_package_declares() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_package_is_marked_as_typed() -> None:
    assert (ROOT / "operator" / "oomkeeper" / "py.typed").exists()
