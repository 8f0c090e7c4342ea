"""Each cause has a page, and what the page shows is what the code does."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from oomkeeper.model.cause import REMEDY_OF, Cause, Outcome, Remedy
from tests.unit.cli.running import oomkeeper
from tests.unit.docs.pages import CAUSES, CHECKOUT, Page, names

SECTIONS = [
    "What it means",
    "What its log looks like",
    "How to make it happen",
    "What to do",
    "Settings, and what does not help",
]
each_cause = pytest.mark.parametrize("cause", list(Cause))


@cache
def explained(log: str) -> list[dict]:
    done = oomkeeper("explain", "-", "--output", "json", stdin=log.encode())
    assert done.returncode == 0, done.stderr.decode()
    kills: list[dict] = json.loads(done.stdout)["kills"]
    return kills


def test_causes_and_pages_match() -> None:
    assert names() == sorted(Cause)


@each_cause
def test_every_page_has_the_same_sections(cause: Cause) -> None:
    page = Page(cause)
    assert page.text.startswith(f"# {cause}\n")
    assert page.sections == SECTIONS


@each_cause
def test_log_on_a_page_gets_the_cause_of_the_page(cause: Cause) -> None:
    [log] = Page(cause).logs
    assert [kill["cause"] for kill in explained(log)] == [cause]


@each_cause
def test_page_lists_the_remedies_that_its_log_gets(cause: Cause) -> None:
    page = Page(cause)
    assert set(page.remedies) <= set(Remedy)
    assert len(page.remedies) == len(set(page.remedies))
    [kill] = explained(page.logs[0])
    assert {item["remedy"] for item in kill["advice"]} <= set(page.remedies)


@each_cause
def test_page_shows_how_to_reproduce_its_cause(cause: Cause) -> None:
    tries = Page(cause).tries
    if cause is Cause.EXTERNAL_POLICY:
        assert tries == []  # No released kernel can.
        return
    assert tries
    for one in tries:
        assert one.where in ("memcg", "text", "vm", "vm-movablecore", "vm-panic")
        subprocess.run(["sh", "-n", "-c", one.script], check=True)


def test_global_causes_are_reproduced_in_a_virtual_machine_only() -> None:
    global_causes = {
        Cause.NODE_MEMORY,
        Cause.ZONE_MEMORY,
        Cause.NUMA_MEMORY_POLICY,
        Cause.NUMA_CPUSET,
        Cause.FRAGMENTATION,
        Cause.MANUAL_TRIGGER,
        Cause.NO_KILLABLE_PROCESS,
    }
    for cause in Cause:
        assert all(one.where.startswith("vm") == (cause in global_causes) for one in Page(cause).tries)


def test_index_lists_every_page_and_every_remedy() -> None:
    text = (CAUSES / "README.md").read_text()
    assert set(re.findall(r"\]\((\w+)\.md\)", text)) >= set(Cause)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\w ]+?) \|", text, re.MULTILINE))
    said = {None: "none", Remedy.FIND_LEAK: "leak", Remedy.FIT_LIMIT: "limit", Remedy.GROW_NODE: "memory"}
    assert {name: words for name, words in rows.items() if name in set(Remedy)} == {
        str(remedy): said[classic] for remedy, classic in REMEDY_OF.items()
    }
    for outcome in Outcome:
        assert f"`{outcome}`" in text


def _links(path: Path) -> list[str]:
    return re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())


@pytest.mark.parametrize(
    "path",
    sorted(
        [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "examples").glob("*.md")]
    ),
    ids=lambda path: str(path.relative_to(CHECKOUT)),
)
def test_links_lead_to_files(path: Path) -> None:
    missing = [
        link for link in _links(path) if "://" not in link and not (path.parent / link.rstrip("/")).exists()
    ]
    assert missing == []
