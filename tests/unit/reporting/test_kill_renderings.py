"""The pages on a kill: what they say, and that no text of a kill becomes markup or a control sequence."""

import html
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.json import encode
from msgspec.structs import replace

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Invoker
from oomkeeper.model.log import LogRecord
from oomkeeper.model.memory import Zone
from oomkeeper.reporting.explanation_html import render_html
from oomkeeper.reporting.explanation_markdown import code, escape, render_markdown
from oomkeeper.reporting.explanation_text import render_text, text_pages
from oomkeeper.reporting.inline_code import code_parts
from oomkeeper.reporting.kill_overview import MAX_ROWS, Overview
from oomkeeper.reporting.kill_record import kill_record, recorded_kill
from oomkeeper.reporting.terminal_drawing import cells
from oomkeeper.resources.killrecord import Advice, KillRecord
from oomkeeper.resources.record import read

from .kill_samples import (
    DIAGNOSIS,
    GLOBAL_DIAGNOSIS,
    GLOBAL_KILL,
    HOSTILE,
    HOSTILE_DIAGNOSIS,
    HOSTILE_KILL,
    KILL,
    KUBE,
    MIB,
    POD_UID,
)

CONTAINER = kill_record(KILL, DIAGNOSIS, kube=KUBE)
GLOBAL = kill_record(GLOBAL_KILL, GLOBAL_DIAGNOSIS)
ESCAPED_HOSTILE = kill_record(HOSTILE_KILL, HOSTILE_DIAGNOSIS)


def _raw_hostile() -> KillRecord:
    """Return a stored record with unescaped texts, as a tampered store or another writer may hold."""

    def poison(value: Any) -> Any:
        if isinstance(value, str):
            return value + HOSTILE
        if isinstance(value, dict):
            return {key: poison(part) for key, part in value.items()}
        return [poison(part) for part in value] if isinstance(value, list | tuple) else value

    return read(KillRecord, poison(to_builtins(CONTAINER)))


BEFORE_INSTALL = recorded_kill(CONTAINER, kill_id="boot-1", before_install=True)


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_kill_before_install_is_marked_after_its_time(render: Callable[..., str]) -> None:
    assert "(before install)" in render([BEFORE_INSTALL])
    assert "(before install)" not in render([replace(BEFORE_INSTALL, before_install=False), CONTAINER])


HOSTILES = [pytest.param(ESCAPED_HOSTILE, id="escaped"), pytest.param(_raw_hostile(), id="raw")]


def test_text_page_has_cause_victims_sizes_and_advice() -> None:
    page = render_text([CONTAINER], width=100)

    for said in (
        "The container met its own limit of 512 MiB and java (pid 811) was killed.",
        "Container limit (ContainerLimit), confidence High",
        "512 MiB of 512 MiB",
        "100 % reached",
        "none allowed",
        "java (811)",
        "98 %, killed",
        "Kernel slab: largest cache dentry.",
        "1. Find the leak: java alone held 98 % of the limit.",
        "2. Fit the limit: Set limits.memory to 640Mi.",
        "The log does not show how long the growth took.",
        POD_UID,
    ):
        assert said in page, said


def test_page_of_a_node_shows_free_memory_and_watermarks() -> None:
    page = render_text([GLOBAL], width=100)

    assert re.search(r"node 0 Normal .* 36 MiB free, min 37 MiB +at or below min", page)
    assert re.search(r"node 0 DMA32 .* 44 MiB free, min 11 MiB$", page, re.MULTILINE)
    assert "0 B free of 1024 MiB" in page


def test_zone_shows_the_memory_that_the_request_could_use() -> None:
    zones = (
        Zone(
            node=0,
            name="DMA",
            fields_bytes={"free": 13 * MIB, "min": MIB},
            lowmem_reserve_pages=(0, 5000, 5000, 5000, 5000),
        ),
        Zone(node=0, name="Normal", fields_bytes={"free": 90 * MIB, "min": 40 * MIB, "free_cma": 60 * MIB}),
        Zone(node=0, name="Movable", fields_bytes={"free": 500 * MIB, "min": MIB}),
    )
    unmovable = Invoker(comm="java", pid=811, order=0, gfp="0xcc0(GFP_KERNEL)", oom_score_adj=0)
    kill = GLOBAL_KILL._replace(invoker=unmovable, memory=GLOBAL_KILL.memory._replace(zones=zones))

    page = render_text([kill_record(kill, GLOBAL_DIAGNOSIS)], width=100)

    assert re.search(r"node 0 DMA .* 13 MiB free, min \+ reserve 20.5 MiB +at or below$", page, re.MULTILINE)
    assert re.search(r"node 0 Normal .* 30 MiB usable, min 40 MiB +at or below min$", page, re.MULTILINE)
    assert re.search(r"node 0 Movable +500 MiB free +not usable here$", page, re.MULTILINE)


def test_incomplete_report_is_reported_unless_the_verdict_does() -> None:
    cut = replace(CONTAINER, complete=False, uncertain=(), lost_before=2)

    page = render_text([cut])

    assert "The report is incomplete" in page
    assert "Lost just before or inside this report: 2 log records." in page
    assert "The report is incomplete" not in render_text([replace(CONTAINER, complete=False)])


def test_stored_record_renders_the_same() -> None:
    stored = read(KillRecord, encode(CONTAINER))

    assert render_text([stored]) == render_text([CONTAINER])
    assert render_markdown([stored]) == render_markdown([CONTAINER])
    assert render_html([stored]) == render_html([CONTAINER])


def test_record_of_another_version_is_still_shown() -> None:
    required = dict.fromkeys(
        ("time", "level", "invoker", "constraint", "oomMemcg", "taskMemcg", "podUid", "containerId")
    ) | {
        "limitBytes": None,
        "usageBytes": None,
        "bindingCounter": None,
        "confidence": "Certain",
        "summary": "",
    }
    lists = {"victims": [], "contributors": [{"name": "Quarks", "bytes": 5, "share": 1}], "advice": []}
    newer = {"scope": "Rack", "cause": "FromTheFuture", "outcome": "Sublimed", "colour": "blue"}
    kill = read(KillRecord, required | lists | newer)

    for said in ("FromTheFuture", "Sublimed", "Quarks"):
        assert said in render_text([kill])
    assert render_markdown([kill]).startswith("## ")
    assert "</html>" in render_html([kill])


@pytest.mark.parametrize("kill", HOSTILES)
@pytest.mark.parametrize("unicode", [True, False])
def test_record_text_cannot_add_control_characters(kill: KillRecord, unicode: bool) -> None:
    page = render_text([kill, kill], width=80, unicode=unicode)

    assert all(char == "\n" or char.isprintable() for char in page)


@pytest.mark.parametrize("kill", HOSTILES)
def test_colour_only_adds_its_own_sequences(kill: KillRecord) -> None:
    plain = render_text([kill], width=80)
    coloured = render_text([kill], width=80, colour=True)

    assert coloured != plain
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == plain


def test_output_without_utf8_is_ascii() -> None:
    page = render_text([ESCAPED_HOSTILE, GLOBAL], width=80, unicode=False)

    assert page.isascii()
    assert "####" in page
    assert r"\u6f22\u5b57 (7)" in page


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_lines_fit_the_terminal_unless_a_path_or_id_would_break(width: int) -> None:
    for line in render_text([CONTAINER, GLOBAL], width=width).splitlines():
        longest_word = max((cells(word) for word in line.split()), default=0)
        assert cells(line) <= width or longest_word > 15, line


def test_wide_characters_keep_bars_aligned() -> None:
    page = render_text([ESCAPED_HOSTILE], width=120)

    rows = [line for line in page.splitlines() if re.search(r"\((811|7)\) +[█▏▎▍▌▋▊▉]", line)]
    starts = {cells(re.split("[█▏▎▍▌▋▊▉]", row)[0]) for row in rows}
    assert len(rows) == 2
    assert len(starts) == 1


def test_only_several_kills_are_numbered_and_summarised() -> None:
    assert "1. OOM kill" not in render_text([CONTAINER])

    several = render_text([CONTAINER, GLOBAL, CONTAINER])

    assert "3. OOM kill" in several
    assert "3 OOM events" in several
    assert re.search(r"^ +Container limit +█+.* 2  67 %$", several, re.MULTILINE)
    assert re.search(rf"^ +2  Container limit +pod {POD_UID[:20]}.+ java ", several, re.MULTILINE)


def test_pages_are_yielded_as_kills_arrive() -> None:
    def kills() -> Any:
        yield CONTAINER
        yield CONTAINER
        raise AssertionError("asked for a third kill before the first page was given")

    assert "1. OOM kill" in next(text_pages(kills()))


def test_overview_of_a_storm_is_bounded_and_complete() -> None:
    overview = Overview()
    for number in range(15_000):
        overview.add(replace(CONTAINER, pod_uid=None, container_id=f"{number:012d}"))

    assert overview.total == 15_000
    assert len(overview.rows()) == MAX_ROWS
    assert overview.rows()[0][:2] == ("5,000", "other")


class _Tags(HTMLParser):
    """Collects tags, attributes and text of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.started: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.started.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("kill", HOSTILES)
def test_html_has_no_tag_from_a_record(kill: KillRecord) -> None:
    summary = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    evil = replace(kill, summary=summary, cause="<script>")
    tags = _Tags()
    tags.feed(render_html([evil, evil]))

    assert not tags.tags & {"img", "link", "iframe", "a"}
    assert tags.started.count("script") == 1  # of the page itself, allowed by its hash
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in tags.text


def test_html_runs_only_what_its_policy_names_by_hash() -> None:
    page = render_html([CONTAINER])
    policy = html.unescape(re.findall(r'Security-Policy" content="([^"]*)"', page)[0])

    for kind, element in (("script", "script"), ("style", "style")):
        [text] = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        hashed = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{hashed}';" in policy
    assert "unsafe" not in policy


def test_html_makes_no_requests() -> None:
    page = render_html([CONTAINER, GLOBAL])

    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href|url|@import)\s*[=(]""", page)
    assert "http" not in page.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in page
    assert page.count('class="chart"') == 7


def test_html_on_a_phone_labels_every_value_and_fits_the_screen() -> None:
    page = render_html([CONTAINER, GLOBAL])

    assert "@media (max-width: 720px)" in page
    assert re.search(r'<td class="num" data-column="resident">[\d.]+ MiB</td>', page)
    assert all("data-column" in cell for cell in re.findall(r"<td[^>]*>", page.split("<details")[0]))
    # Figures are text that wraps, never part of a drawing of fixed width.
    assert "<text" not in page
    assert '<span class="value">512 MiB of 512 MiB <span class="note hot">100 % reached</span>' in page
    assert not re.search(r"min-width: \d{3,}px|overflow-x", page)


COMMAND = "systemctl set-property a-b.service MemoryMax=96M"


def _with_command() -> KillRecord:
    return replace(CONTAINER, advice=(Advice(remedy="FitLimit", message=f"To change it now: `{COMMAND}`"),))


def test_html_shows_commands_and_settings_as_code_with_unbroken_words() -> None:
    page = render_html([_with_command(), GLOBAL])

    words = "".join(f'<span class="word">{word}</span> ' for word in COMMAND.split(" ")).rstrip()
    assert f"To change it now: <code>{words}</code>" in page
    assert re.search(r'data-column="setting"><code><span class="word">vm.panic_on_oom=1</span></code>', page)


def test_markdown_shows_commands_as_code_spans() -> None:
    assert f"To change it now: `{COMMAND}`" in render_markdown([_with_command()])


def test_numbers_are_right_aligned_in_every_format() -> None:
    tables = render_markdown([CONTAINER])
    assert "|---|---:|---:|---:|---:|---:|---:|---:|" in tables

    text = render_text([replace(CONTAINER, victims=(CONTAINER.victims[0],) * 2)], width=120).splitlines()
    header = next(line for line in text if "resident" in line and "anonymous" in line)
    row = text[text.index(header) + 1]
    assert header.index("resident") + len("resident") == row.index("MiB") + len("MiB")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("run `a b` now", [("run ", False), ("a b", True), (" now", False)]),
        ("no code", [("no code", False)]),
        ("one ` backtick", [("one ` backtick", False)]),
        ("`a` and ` more", [("a", True), (" and ` more", False)]),
        ("", []),
    ],
)
def test_code_is_marked_by_pairs_of_backticks(text: str, parts: list[tuple[str, bool]]) -> None:
    assert [tuple(part) for part in code_parts(text)] == parts


def test_row_of_the_overview_counts_all_victims_of_one_place() -> None:
    overview = Overview()
    for number in range(40):
        victim = replace(CONTAINER.victims[0], comm=f"worker-{number}")
        overview.add(replace(CONTAINER, victims=(victim,)))

    [row] = overview.rows()
    assert (row[0], row[3]) == ("40", "worker-0 and 39 others")


def test_html_reports_that_nothing_was_found() -> None:
    assert "No OOM event was found." in render_html([])


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("oom_score_adj", "oom_score_adj"),
        ("_x_ *b* `c` [l](u) <b> a|b ~~d~~ &amp; $x$", None),
        ("# not a heading", r"\# not a heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("5.86 MiB", "5.86 MiB"),
        ("@channel #12 user@1000.service", "@&#8203;channel #&#8203;12 user@1000.service"),
        ("http://x www.x", "http&#8203;://x www&#8203;.x"),
    ],
)
def test_markdown_text_stays_text(text: str, escaped: str | None) -> None:
    if escaped is not None:
        assert escape(text) == escaped
    else:
        assert not re.search(r"(?<!\\)[_*`\[\]<>|~&$]", escape(text))


def test_code_span_ends_at_its_fence() -> None:
    assert code("a`b|c") == "``a`b\\|c``"
    assert code("`") == "`` ` ``"


@pytest.mark.parametrize("kill", HOSTILES)
def test_markdown_of_a_hostile_record_keeps_its_tables(kill: KillRecord) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(render_markdown([kill]))
    tags = _Tags()
    tags.feed(html)

    assert not tags.tags & {"b", "script", "a", "img"}
    rows = re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    assert {row.count("<td") for row in rows} <= {0, 2, 3, 4, 8}


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_name_of_blanks_on_a_short_header_is_shown(
    render: Callable[[list[KillRecord]], str],
) -> None:
    (kill,) = parse_records([LogRecord(text=b"    invoked oom-killer:")])

    page = html.unescape(render([kill_record(kill, diagnose(kill))]))

    assert re.search(r"requesting process.*' +'", page, re.DOTALL)
