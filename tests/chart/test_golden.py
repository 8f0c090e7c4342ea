"""What the chart renders, by default and on each platform, is what was reviewed."""

from __future__ import annotations

import re

import pytest

from tests.cluster.chart_harness import ROOT, Helm

from .golden import GOLDEN, default_rendering, platform_changes, platforms

PAGE = (ROOT / "docs" / "platforms.md").read_text()
HINT = "if the change is intended: make chart-golden"


def test_default_rendering_matches_golden_file(renderer: Helm) -> None:
    assert default_rendering(renderer) == (GOLDEN / "default.yaml").read_text(), HINT


@pytest.mark.parametrize("name", platforms())
def test_platform_rendering_matches_golden_file(renderer: Helm, name: str) -> None:
    assert platform_changes(renderer, name) == (GOLDEN / f"{name}.diff").read_text(), HINT


def test_every_golden_file_belongs_to_a_platform() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {
        "default.yaml",
        *(f"{name}.diff" for name in platforms()),
    }


def test_platform_page_names_every_values_file() -> None:
    named = set(re.findall(r"examples/platforms/([a-z0-9]+)\.yaml", PAGE))
    assert named == set(platforms())
