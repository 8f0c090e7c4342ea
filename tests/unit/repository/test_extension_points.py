"""What CONTRIBUTING.md says about extending oomkeeper is true: a forgotten place fails a test."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from oomkeeper.api.oomnode import Counters
from oomkeeper.diagnosis import summary
from oomkeeper.model.cause import Cause, ContributorName, Level, Outcome, Remedy
from oomkeeper.model.names import wire_name
from oomkeeper.reporting import display_names

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
FORMATS = ROOT / "operator" / "oomkeeper" / "kernel" / "logs" / "formats"
PARTS_OF_FORMATS = {
    "detect",
    "frame",
    "json_text",
    "journal_entry",
    "syslog_record",
    "timestamps",
    "other_programs",
}
"""Modules that formats share."""


def test_every_cause_has_a_summary_sentence() -> None:
    assert set(summary._WHY) == set(Cause)


def test_every_cause_has_a_display_name_and_an_explanation() -> None:
    assert set(display_names.CAUSES) == set(Cause)
    assert all(name and text.endswith(".") for name, text in display_names.CAUSES.values())


@pytest.mark.parametrize(
    ("names", "enum"),
    [
        (display_names.OUTCOMES, Outcome),
        (display_names.LEVELS, Level),
        (display_names.CONTRIBUTORS, ContributorName),
        (display_names.REMEDIES, Remedy),
    ],
    ids=["outcomes", "levels", "contributors", "remedies"],
)
def test_every_value_has_a_display_name(names: dict, enum: type) -> None:
    assert set(names) == set(enum)


def test_every_log_format_is_used_by_the_reader() -> None:
    """`detect` tries line formats; entry formats (journal export, JSON) have readers of their own."""
    readers = [path for path in FORMATS.parent.rglob("*.py") if path.name != "__init__.py"]
    imported = {name for path in readers for name in _imports(path) - {path.stem}}
    formats = {path.stem for path in FORMATS.glob("*.py")} - {"__init__"} - PARTS_OF_FORMATS
    assert formats - imported == set()


def test_every_log_format_is_listed_in_the_package() -> None:
    listed = (FORMATS / "__init__.py").read_text()
    formats = {path.stem for path in FORMATS.glob("*.py")} - {"__init__"} - PARTS_OF_FORMATS
    assert [name for name in sorted(formats) if not re.search(rf"\b{name}\b", listed)] == []


def test_every_counter_of_a_node_is_filled_by_the_agent() -> None:
    source = (ROOT / "operator" / "oomkeeper" / "agent" / "nodestatus.py").read_text()
    unfilled = [
        name for name in Counters.model_fields if not re.search(rf"\b({name}|{wire_name(name)})\b", source)
    ]
    assert unfilled == []


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.module.rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
    }


def test_guide_shows_the_layers_that_import_linter_checks() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [one["layers"] for one in settings["contracts"] if one["type"] == "layers"]
    shown = [line.strip() for line in GUIDE.splitlines() if line.startswith("    ")]
    assert [line for line in shown if line] == [layer.replace("oomkeeper.", "") for layer in layers]


def test_guide_names_existing_files() -> None:
    paths = set(
        re.findall(r"`((?:operator|tests|docs|charts|examples|bench|demo|\.github)/[\w./-]+)`", GUIDE)
    )
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_guide_lists_at_most_five_places_each() -> None:
    sections = re.findall(r"^### (Add [^\n]+)\n(.*?)(?=^#|\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert [title for title, _ in sections] == [
        "Add a cause",
        "Add a sysctl",
        "Add a log format",
        "Add a metric",
    ]
    for _, text in sections:
        assert 1 <= len(re.findall(r"^\d\. ", text, re.MULTILINE)) <= 5
