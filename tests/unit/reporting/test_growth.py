"""What several kills of one incident say of a leak."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oomkeeper.agent.attribution import Subject
from oomkeeper.agent.incidents import add_kill, new_incident
from oomkeeper.api.oomincident import OOMIncident
from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.times import format_time
from oomkeeper.reporting.explanation_html import html_parts
from oomkeeper.reporting.explanation_markdown import markdown_pages
from oomkeeper.reporting.explanation_text import text_pages
from oomkeeper.reporting.growth import growth_sentence, with_growth
from oomkeeper.reporting.kill_overview import Overview
from oomkeeper.reporting.kill_record import kill_record, recorded_kill
from oomkeeper.resources.oomincident import AdviceItem, RecentKill
from oomkeeper.resources.record import read, to_document

MIB = 1 << 20
LEAK = Path(__file__).parents[1] / "diagnosis" / "data" / "6.18-v1-leak.kmsg"
"""A real leak of about 8 MiB a second at a limit of 40 MiB, started again after each of four kills."""
REPORTS = Path(__file__).parents[1] / "report" / "data"
START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def typed(kills: list[dict[str, Any]]) -> list[RecentKill]:
    return [read(RecentKill, kill) for kill in kills]


def ring(*runs: tuple[float, int, int | None], comm: str = "app") -> list[dict[str, Any]]:
    """(seconds, held MiB, limit MiB), oldest first; a ring has the newest first."""
    kills = [
        {
            "id": f"b-{number}",
            "time": (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "comm": comm,
            "pid": 100 + number,
            "anonRssBytes": held * MIB,
        }
        | ({"limitBytes": limit * MIB} if limit else {})
        for number, (seconds, held, limit) in enumerate(runs)
    ]
    return kills[::-1]


def test_growth_of_a_real_leak_is_in_the_incidents_advice() -> None:
    subject = Subject(node="n", cgroup="/oomkeeper-try")
    incident = new_incident(subject, cause="CgroupLimit", operator_namespace="ops")
    with LEAK.open("rb") as stream:
        for number, kill in enumerate(parse_records(read_records(stream))):
            assert kill.usec is not None
            incident = add_kill(
                incident,
                record=recorded_kill(kill_record(kill, diagnose(kill)), kill_id=f"b-{number}"),
                time=(START + timedelta(microseconds=kill.usec)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                subject=subject,
                new=True,
            )
            document = to_document(incident)
            said = document["status"]["advice"][0]["message"]
            assert ("filled its limit" in said) == (number >= 2)
    assert document["status"]["advice"][0]["remedy"] == "FindLeak"
    assert said.startswith(
        "python3 filled its limit of 40 MiB 4 times, 5 s apart, at even intervals typical of a leak: it "
        "grows by at least 7.7 MiB per second."
    )
    assert "python3 alone uses" in said
    remedies = [item["remedy"] for item in document["status"]["advice"]]
    assert len(remedies) == len(set(remedies))
    OOMIncident.model_validate_json(json.dumps(document))


def test_explain_shows_growth_below_its_overview_in_every_format() -> None:
    with LEAK.open("rb") as stream:
        kills = [kill_record(kill, diagnose(kill)) for kill in parse_records(read_records(stream))]
    said = "/oomkeeper-try: python3 filled its limit of 40 MiB 4 times"
    assert said in " ".join("".join(text_pages(kills, width=100)).split())
    assert said in "".join(markdown_pages(kills))
    assert said in "".join(html_parts(kills))
    assert "filled its limit" not in "".join(text_pages(kills[:2], width=100))


def test_restarted_container_is_recognised_by_its_pod() -> None:
    overview = Overview()
    with (REPORTS / "6.18-v1-storm.log").open("rb") as stream:
        kill = next(iter(parse_records(read_records(stream))))
    record = replace(
        kill_record(kill, diagnose(kill)), cause="ContainerLimit", pod_uid="0f3c", limit_bytes=40 * MIB
    )
    for number in range(3):
        victim = replace(record.victims[0], comm="app", pid=number + 1, anon_rss_bytes=39 * MIB)
        overview.add(
            replace(
                record,
                time=f"+{100 * number}.5",
                container_id=str(number) * 64,
                victims=(victim,),
            )
        )
    assert [said.partition(",")[0] for said in overview.growth()] == [
        "pod 0f3c: app filled its limit of 40 MiB 3 times"
    ]


def test_storm_of_kills_is_not_growth() -> None:
    overview = Overview()
    with (REPORTS / "6.18-v1-storm.log").open("rb") as stream:
        for kill in parse_records(read_records(stream)):
            overview.add(kill_record(kill, diagnose(kill)))
    assert overview.total == 16
    assert overview.growth() == []


def test_limit_that_was_raised_and_reached_again_is_reported() -> None:
    said = growth_sentence(typed(ring((0, 500, 512), (3600, 505, 512), (10_800, 1010, 1024))))
    assert said is not None
    assert (
        "filled its limit 3 times, though it was raised from 512 MiB to 1024 MiB, 60 min to 2 h apart" in said
    )
    assert "even intervals" not in said
    assert "at least 505 MiB per hour" not in said
    assert "at least 8.4 MiB per minute" in said


def test_peaks_are_compared_without_a_limit() -> None:
    said = growth_sentence(typed(ring((0, 200, None), (600, 300, None), (4000, 500, None))))
    assert said == (
        "app used 200 MiB, 300 MiB, 500 MiB at its last 3 kills: within 67 min its peak grew by 300 MiB "
        "(150 %)."
    )


@pytest.mark.parametrize(
    "kills",
    [
        [],
        ring((0, 40, 40), (60, 40, 40)),
        # Workers that died side by side.
        ring((0, 40, 40), (0.2, 40, 40), (0.4, 40, 40)),
        # The victim held little of what filled the limit.
        ring((0, 5, 40), (60, 5, 40), (120, 5, 40)),
        # Peaks that go up and down, and ones that hardly grow.
        ring((0, 200, None), (600, 300, None), (1200, 250, None)),
        ring((0, 200, None), (600, 201, None), (1200, 202, None)),
        [*ring((0, 40, 40), (60, 40, 40)), *ring((120, 40, 40), comm="other")],
        [{**kill, "pid": 7} for kill in ring((0, 40, 40), (60, 40, 40), (120, 40, 40))],
        [{**kill, "time": "yesterday"} for kill in ring((0, 40, 40), (60, 40, 40), (120, 40, 40))],
    ],
)
def test_kills_without_growth_give_no_sentence(kills: list[dict[str, Any]]) -> None:
    assert growth_sentence(typed(kills)) is None
    advice = (AdviceItem(remedy="FitLimit", message="x"),)
    assert with_growth(advice, typed(kills), cause="CgroupLimit") == advice


def test_requested_kill_shows_no_leak() -> None:
    kills = typed(ring((0, 40, 40), (60, 40, 40), (120, 40, 40)))
    assert with_growth([], kills, cause="ManualTrigger") == ()
    assert [item.remedy for item in with_growth([], kills, cause="PodLimit")] == ["FindLeak"]


def test_hostile_name_is_escaped() -> None:
    said = growth_sentence(typed(ring((0, 40, 40), (60, 40, 40), (120, 40, 40), comm="x\n\x1b[2J")))
    assert said is not None
    assert said.isprintable()


def test_growth_rate_does_not_count_the_time_in_back_off() -> None:
    """60 MiB a minute: each run fills 40 MiB in 40 s and then waits for its restart, longer each time."""
    runs = [(40, 0), (140, 100), (300, 260), (600, 560)]
    kills = typed(ring(*((at, 40, 40) for at, _ in runs)))
    without = growth_sentence(kills)
    starts = [format_time(START.timestamp() + started) for _, started in reversed(runs)]
    said = growth_sentence([replace(one, started_at=at) for one, at in zip(kills, starts, strict=True)])
    assert said is not None
    assert "it grows by at least 1 MiB per second" in said
    # Without the starts, only the time between kills is known.
    assert "it grows by at least 8 MiB per minute" in (without or "")


def test_start_that_cannot_be_is_not_believed() -> None:
    kills = typed(ring((0, 40, 40), (60, 40, 40), (120, 40, 40)))
    forged = [replace(one, started_at="2031-01-01T00:00:00Z") for one in kills]
    assert growth_sentence(forged) == growth_sentence(kills)
