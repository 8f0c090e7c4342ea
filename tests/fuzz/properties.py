"""What holds for any bytes: nothing raises, nothing unprintable comes out, numbers stay within reason, an
event names no process that the log does not, and what is read in stretches is what is read line by line."""

import io
import json

from oomkeeper.diagnosis import diagnose
from oomkeeper.diagnosis.whatif import Settings, simulate
from oomkeeper.kernel.logs import LogCounts, read_relevant_log, runs
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Kill
from oomkeeper.reporting.explanation_html import render_html
from oomkeeper.reporting.explanation_markdown import render_markdown
from oomkeeper.reporting.explanation_text import render_text
from oomkeeper.reporting.kill_json import KillJson, kill_to_json

_RENDERERS = (render_text, render_markdown, render_html)
_SETTINGS = Settings(adjustments=(("1", 500), ("a", -1000)), kill_allocating_task=True, panic_on_oom=1)


_DROPPED = b"\0\r\n\t >|"
_ALWAYS, _NEVER = 0, 1 << 40


def kills_of(data: bytes, *, least_bytes: int | None = None) -> list[Kill]:
    """Every event that `explain` finds. `least_bytes` makes it take any stretch of plain lines at once, or
    none."""
    before = runs.LEAST_BYTES
    try:
        runs.LEAST_BYTES = before if least_bytes is None else least_bytes  # type: ignore[misc,attr-defined]
        return list(parse_records(read_relevant_log(io.BytesIO(data), counts=LogCounts())))
    finally:
        runs.LEAST_BYTES = before  # type: ignore[misc,attr-defined]


def check(data: bytes) -> int:
    """Run the whole of `explain` and `simulate` on `data`; how many events there were. Raises
    AssertionError where a property does not hold, and whatever the code raises."""
    kills = kills_of(data, least_bytes=_ALWAYS)
    assert kills == kills_of(data, least_bytes=_NEVER), "in stretches it is another event"
    for kill in kills:
        page = kill_to_json(kill, diagnose(kill))
        check_kill(kill, page, data)
        simulate(kill, _SETTINGS)
        # One dress an event, by what it is, so that every one gets its turn at a third of the cost.
        _RENDERERS[len(data) % len(_RENDERERS)]([page])
    return len(kills)


def check_kill(kill: Kill, page: KillJson, data: bytes) -> None:
    """The properties of one event of `data`."""
    # The reader drops zero bytes, which a torn write leaves in a log, and puts broken words together.
    assert kill.kill_lines <= data.translate(None, _DROPPED).count(b"Kill"), "more kills than kill lines"
    assert page["summary"], "an event without a summary"
    assert page["summary"].isprintable()
    assert all(0 <= part["share"] <= 1 and part["bytes"] >= 0 for part in page["contributors"])
    text = json.dumps(page, ensure_ascii=False)
    text.encode("utf-8")
    assert len(text) < 200_000 + 4 * len(data), "an event larger than its log"
    for victim in kill.victims:
        assert 0 <= victim.pid < 1 << 68
