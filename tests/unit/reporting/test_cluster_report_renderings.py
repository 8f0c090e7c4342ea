"""The forms of the report: the same figures in each, and no name that becomes markup or a formula."""

import csv
import html
import io
import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import msgspec
import pytest

from oomkeeper.reporting.cluster_report import ClusterReport
from oomkeeper.reporting.cluster_report_csv import report_csv
from oomkeeper.reporting.cluster_report_html import MAX_ROWS, report_html
from oomkeeper.reporting.cluster_report_markdown import report_markdown
from oomkeeper.reporting.cluster_report_text import report_text
from oomkeeper.reporting.html_page import data_block
from oomkeeper.reporting.report_tables import GROUPS
from oomkeeper.reporting.terminal_drawing import cells
from oomkeeper.resources.oomincident import OOMIncident

from .report_samples import DAY, HOSTILE, HOUR, NOW, facts, incident, node_object, report

WEEK = (
    incident("a", kills=(10, 20, 3 * HOUR), workload="web", advice=(("FitLimit", "set `memory: 640Mi`"),)),
    incident("b", kills=(2 * DAY,), workload="api", namespace="pay", node="n2", cause="NodeMemory"),
    incident("c", kills=(30,), cgroup="/system.slice/sshd.service", cause="CgroupLimit", comm="sshd"),
)
EVIL = incident(
    HOSTILE,
    kills=(1, 2),
    workload=HOSTILE,
    namespace=HOSTILE,
    node=HOSTILE,
    comm="=cmd|calc",
    advice=(("FitLimit", HOSTILE),),
    summary=HOSTILE,
    uncertain=[HOSTILE],
)


def page(*incidents: OOMIncident, made: ClusterReport | None = None) -> str:
    made = made or report(*incidents)
    return "".join(report_html(made, incidents=incidents, start=NOW - 7 * DAY, end=NOW))


def text(made: ClusterReport, *, by: str | None = None, top: int = 10, **terminal: bool | int) -> str:
    return "".join(report_text(made, by=by, top=top, **terminal))  # type: ignore[arg-type]


class Tags(HTMLParser):
    def __init__(self, document: str) -> None:
        super().__init__()
        self.started: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_has_totals_timeline_lists_advice_and_coverage_in_this_order() -> None:
    lines = text(report(*WEEK, facts=facts(nodes=(node_object(unattributed=1),)))).splitlines()
    headings = [line.strip() for line in lines if re.match(r" \S", line)]
    assert headings == [
        "2027-01-08 08:00 to 2027-01-15 08:00 UTC (7 days)",
        "5 OOM kills of 3 workloads in 2 namespaces on 2 nodes.",
        "When",
        "Workloads",
        "Namespaces",
        "Causes",
        "Nodes",
        "What to do",
        "Coverage",
    ]
    assert "1. Fit the limit (3 kills of 1 workload). Deployment shop/web: set `memory: 640Mi`" in "\n".join(
        lines
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_text_is_no_wider_than_the_terminal(width: int) -> None:
    long = incident("x", kills=(1,), workload="w" * 60, namespace="n" * 40, node="k" * 60)
    for line in text(report(*WEEK, long), width=width).splitlines():
        assert cells(line) <= max(width, 60), line


def test_text_without_utf8_is_ascii() -> None:
    assert text(report(*WEEK, EVIL), unicode=False).isascii()


def test_by_shows_one_list_with_all_its_rows() -> None:
    many = [incident(f"i{n}", kills=(n + 1,), workload=f"w{n}") for n in range(25)]
    assert "Workloads (10 of 25)" in text(report(*many))
    shown = text(report(*many), by="workload")
    assert len(re.findall(r"Deployment/w\d+", shown)) == 25
    assert "Nodes" not in shown
    assert "When" not in shown


def test_nothing_happened_is_one_sentence() -> None:
    made = report(facts=facts(nodes=(node_object(),)))
    assert "No OOM kill." in text(made)
    assert "No OOM kill." in page(made=made)
    assert "No OOM kill." in "".join(report_markdown(made, by="node", top=10))


def test_every_form_has_the_same_workloads_and_kills() -> None:
    made = report(*WEEK)
    expected = [("web", 3), ("/system.slice/sshd.service", 1), ("api", 1)]
    assert [(row.name, row.kills) for row in made.workloads] == expected
    rows = list(csv.DictReader(io.StringIO("".join(report_csv(made, by="workload")))))
    assert [(row["name"], int(row["kills"])) for row in rows] == expected
    assert rows[0]["limitBytes"] == str(512 << 20)
    document = json.loads(msgspec.json.encode(made))
    assert [(row["name"], row["kills"]) for row in document["workloads"]] == expected
    markdown = "".join(report_markdown(made, by=None, top=10))
    assert r"| 3 | shop | Deployment/web | app |" in markdown
    assert re.search(r'data-order="3">3</td><td[^>]*>shop</td><td[^>]*>Deployment/web</td>', page(*WEEK))


@pytest.mark.parametrize("by", GROUPS)
def test_csv_has_one_header_and_a_row_each(by: str) -> None:
    rows = list(csv.reader(io.StringIO("".join(report_csv(report(*WEEK, EVIL), by=by)))))
    assert len({len(row) for row in rows}) == 1
    assert "kills" in rows[0]


def test_csv_cell_is_never_a_formula() -> None:
    [row] = csv.DictReader(io.StringIO("".join(report_csv(report(EVIL), by="workload"))))
    assert row["victim"] == "'=cmd|calc"


def test_terminal_gets_no_control_sequence_of_a_name() -> None:
    for form in (text(report(EVIL)), "".join(report_markdown(report(EVIL), by=None, top=10))):
        assert all(char == "\n" or char.isprintable() for char in form)


def test_markdown_has_no_markup_of_a_name() -> None:
    markdown = "".join(report_markdown(report(EVIL), by=None, top=10))
    assert not re.search(r"(?<!\\)<(?:img|/script)", markdown)
    rows = [line for line in markdown.splitlines() if line.startswith("| 2 |")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (5, 6, 11) for row in rows), rows


def test_page_has_no_tag_or_attribute_of_a_name() -> None:
    tags = Tags(page(*WEEK, EVIL))
    calm = Tags(
        page(*WEEK, incident("d", kills=(1, 2), workload="d", namespace="d", node="d", uncertain=["d"]))
    )
    assert set(tags.started) == set(calm.started)
    assert tags.started.count("script") == 4
    assert not {"img", "iframe", "link", "object"} & set(tags.started)
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("style", "src")]
    assert "<img src=x onerror=alert(1)>" in tags.text
    assert "{{7*7}}" in tags.text


def test_page_asks_for_nothing_and_runs_only_what_its_policy_names() -> None:
    made = page(*WEEK)
    policy = html.unescape(re.findall(r'Security-Policy" content="([^"]*)"', made)[0])
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", made, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    hashes = [b64encode(sha256(one.encode()).digest()).decode() for one in (style, *scripts)]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    links = [value for name, value in Tags(made).attributes if name == "href"]
    assert links
    assert all(link and link.startswith("#") for link in links)
    assert not re.search(r"url\(|@import", style)


def test_page_has_landmarks_headings_and_labels() -> None:
    made = page(*WEEK, *(incident(f"i{n}", kills=(1, 2), workload=f"w{n}") for n in range(9)))
    assert made.count("<h1>") == 1
    assert made.count("<main ") == 1
    assert '<nav aria-label="Sections">' in made
    for labelled in re.findall(r'aria-labelledby="([^"]+)"', made):
        assert f'id="{labelled}"' in made
    for target in re.findall(r'href="#([^"]+)"', made):
        assert f'id="{target}"' in made
    ids = re.findall(r'\bid="([^"]+)"', made)
    assert len(ids) == len(set(ids))
    assert all('scope="col"' in heading for heading in re.findall(r"<th[ >][^>]*>", made))
    assert all("aria-label" in table for table in re.findall(r"<table[^>]*>", made))


def test_page_leaves_rows_out_and_says_so() -> None:
    made = report(*WEEK)
    rows = tuple(msgspec.structs.replace(made.workloads[0], name=f"w{n}") for n in range(MAX_ROWS + 3))
    shown = page(made=msgspec.structs.replace(made, workloads=rows))
    assert "3 rows with fewer kills are left out here: -o csv --by workload has all." in shown


def test_incident_of_the_page_has_breakdown_kills_and_plot() -> None:
    made = page(WEEK[0])
    assert "Anonymous (heap, stacks)" in made
    assert 'data-series="0"' in made
    data = json.loads(re.findall(r'id="data">(.*?)</script>', made, re.DOTALL)[0])
    [plot] = data["series"]
    assert plot["usage"] == [500 << 20] * 3
    assert plot["times"] == sorted(plot["times"])
    timeline = data["timeline"]
    assert timeline["hours"] == 7 * 24 + 1
    assert [sum(one) for one in timeline["kills"]] == [3]


def test_data_cannot_end_its_element() -> None:
    given = {"a": "</script><!--", "b": "\u2028&"}
    block = str(data_block(given))
    assert not set("<>&") & set(block)
    assert block.isascii()
    assert json.loads(block) == given


def test_incident_of_the_page_has_its_killed_processes_and_says_what_it_does_not_keep() -> None:
    victims = [
        {"pid": 10 + number, "comm": f"worker-{number}", "anonRssBytes": 1 << 20} for number in range(3)
    ]
    group = incident(
        "g", kills=(10, 20), count=57, evidence={"victims": victims, "victimsOmitted": 5, "limitBytes": 1}
    )
    shown = " ".join(Tags(page(group)).text.split())
    for number in range(3):
        assert f"worker-{number}" in shown
    assert "Of the last kill that the kernel reported. 5 more killed processes are not kept in the" in shown
    assert "The last 2 of 57 kills; an incident keeps no more." in shown

    whole = " ".join(Tags(page(incident("w", kills=(10, 20), count=2))).text.split())
    assert "an incident keeps no more" not in whole
    assert "Killed processes" not in whole


def test_curve_of_one_hour_per_character_says_so() -> None:
    flat = " ".join(text(report(*WEEK), width=400).split())
    assert "One character is 1 hour; each line has its own scale." in flat
