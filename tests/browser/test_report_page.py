"""The HTML report in a browser: what a person does with it. Needs Chromium: `make browser-test`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.report_samples import incidents
from oomkeeper.reporting.cluster_coverage import ClusterFacts
from oomkeeper.reporting.cluster_report import cluster_report
from oomkeeper.reporting.cluster_report_html import report_html
from oomkeeper.resources.oomincident import OOMIncident
from oomkeeper.resources.record import read
from tests.unit.reporting.report_samples import HOSTILE

from .chromium import Page, browser, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
ROWS = "Array.from(document.querySelectorAll('#workload tbody tr')).filter(row => !row.hidden)"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    objects = list(incidents(300, kills=4000, now=NOW))
    objects[0]["metadata"]["namespace"] = HOSTILE
    objects[0]["spec"]["workload"]["name"] = HOSTILE
    objects[0]["status"]["kills"][0]["comm"] = HOSTILE
    objects[0]["status"]["summary"] = HOSTILE
    found = [read(OOMIncident, one) for one in objects]
    end = NOW.timestamp()
    start = end - 7 * 86400
    made = cluster_report(found, facts=ClusterFacts(nodes=[], reports=[]), start=start, end=end)
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text("".join(report_html(made, incidents=found, start=start, end=end)))
    return file


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(tab: Page, path: Path) -> Page:
    tab.screen(**DESK)
    tab.open(path)
    return tab


def rows(page: Page, column: int) -> list[str]:
    found: list[str] = page.evaluate(f"{ROWS}.map(row => row.cells[{column}].textContent)")
    return found


def count(text: str) -> int:
    return int(text.replace(",", ""))


def test_page_asks_for_nothing_and_no_name_is_run(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.requests() == []
    assert page.complaints() == []
    assert page.evaluate("document.images.length") == 0


def test_policy_stops_a_script_that_got_into_the_page(page: Page) -> None:
    page.evaluate(
        "window.ran = false; const evil = document.createElement('script');"
        "evil.textContent = 'window.ran = true'; document.body.append(evil)"
    )
    assert page.evaluate("window.ran") is False
    page.evaluate("fetch('https://example.invalid/').catch(() => 0)")
    page.evaluate(
        "new Promise(done => { const image = new Image(); image.onerror = done;"
        "image.src = 'https://example.invalid/x.png'; })"
    )
    assert any("Content Security Policy" in text for text in page.complaints())


def test_charts_are_drawn(page: Page) -> None:
    assert page.evaluate("document.querySelectorAll('#timeline canvas').length") == 1
    page.evaluate("document.querySelector('details.incident').open = true")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("document.querySelectorAll('details.incident canvas').length") == 1


def test_heading_sorts_by_keyboard_and_says_so(page: Page) -> None:
    assert [count(text) for text in rows(page, 0)] == sorted(map(count, rows(page, 0)), reverse=True)
    heading = "document.querySelector('#workload th:nth-child(6)')"  # limit
    page.evaluate(f"{heading}.querySelector('button').focus()")
    for order, reverse in (("descending", True), ("ascending", False)):
        page.press("Enter", text="\r")
        assert page.evaluate(f"{heading}.getAttribute('aria-sort')") == order
        limits: list[Any] = page.evaluate(f"{ROWS}.map(row => Number(row.cells[5].dataset.order))")
        assert limits == sorted(limits, reverse=reverse)
    assert page.evaluate("document.querySelectorAll('#workload [aria-sort]').length") == 1


def test_search_finds_rows_that_are_not_shown(page: Page) -> None:
    assert len(rows(page, 0)) == 20
    page.evaluate("document.querySelector('#workload input').focus()")
    for letter in "java limit":
        page.press(letter, text=letter)
    found = page.evaluate(f"{ROWS}.map(row => row.textContent)")
    assert found
    assert all("java" in text and "limit" in text for text in found)
    status = page.evaluate("document.querySelector('#workload [role=status]').textContent")
    assert status.endswith("in all")


def test_button_shows_more_rows(page: Page) -> None:
    button = "document.querySelector('#workload button.more')"
    page.evaluate(f"{button}.click()")
    assert len(rows(page, 0)) == page.evaluate("document.querySelectorAll('#workload tbody tr').length")
    assert page.evaluate(f"{button}.hidden") is True


def test_every_control_is_reached_by_tab(page: Page) -> None:
    reached = set()
    for _ in range(40):
        page.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
    assert {"A.skip", "BUTTON.sort", "SUMMARY.", "INPUT."} <= reached
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(page: Page, dark: bool) -> None:
    """WCAG 2.1, 1.4.3: 4.5 to 1."""
    page.screen(**DESK, dark=dark)
    ratio = page.evaluate("""(() => {
      const light = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
        const one = part / 255; return one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const card = light(getComputedStyle(document.querySelector('section')).backgroundColor);
      return Math.min(...['td', 'th', 'p.caption', 'nav a', '.effect', 'summary'].map((selector) => {
        const text = light(getComputedStyle(document.querySelector(selector)).color);
        return (Math.max(text, card) + 0.05) / (Math.min(text, card) + 0.05); }));
    })()""")
    assert ratio >= 4.5


def test_phone_needs_no_scrolling_to_the_side(page: Page, path: Path) -> None:
    page.screen(**PHONE)
    page.open(path)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_print_shows_the_report_without_controls(page: Page) -> None:
    page.screen(**DESK, media="print")
    for selector in ("nav", ".tools", "button.more"):
        assert page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).display") == "none"


def test_screen_reader_has_names_for_tables_charts_and_fields(page: Page) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, set[str]] = {}
    for node in nodes:
        role, name = node.get("role", {}).get("value", ""), node.get("name", {}).get("value", "")
        named.setdefault(role, set()).add(name)
    assert {"Workloads", "Namespaces", "Causes", "Nodes"} <= named["table"]
    assert any(name.startswith("Kills per hour, by cause.") for name in named["image"])
    assert "Search workloads" in named["searchbox"]
    assert "Sections" in named["navigation"]
    assert "" not in named["table"] | named["image"] | named["searchbox"] | named["button"]
