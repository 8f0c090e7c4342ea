"""Properties that hold for any bytes: no error, no unprintable output, numbers within bounds, and no event
without a line in the log."""

import io

from msgspec.json import encode

from oomkeeper.diagnosis import diagnose
from oomkeeper.diagnosis.whatif import Settings, simulate
from oomkeeper.kernel.logs.counts import LogCounts
from oomkeeper.kernel.logs.oom_search.relevant import read_relevant_records
from oomkeeper.kernel.logs.signs import MOST_SIGNS
from oomkeeper.kernel.logs.tolerant.reading import TolerantReading
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.kill import Kill
from oomkeeper.reporting.explanation_html import render_html
from oomkeeper.reporting.explanation_markdown import render_markdown
from oomkeeper.reporting.explanation_text import render_text
from oomkeeper.reporting.kill_record import kill_record
from oomkeeper.resources.killrecord import KillRecord

_RENDERERS = (render_text, render_markdown, render_html)
_SETTINGS = Settings(adjustments=(("1", 500), ("a", -1000)), kill_allocating_task=True, panic_on_oom=1)
_DROPPED = b"\0\r\n\t >|"


def kills_of(data: bytes) -> list[Kill]:
    """Return every event that `explain` finds in a file."""
    tolerant = TolerantReading()
    records = read_relevant_records(io.BytesIO(data), counts=LogCounts(), tolerant=tolerant)
    kills = list(parse_records(records, excerpt=True))
    signs = tolerant.signs.found(kills=len(kills))
    assert len(signs) <= MOST_SIGNS
    assert all(sign.message.isprintable() and sign.line > 0 for sign in signs)
    return kills


def check(data: bytes) -> int:
    """Run all of `explain` and `simulate` on `data` and return the number of events. Raises AssertionError if
    a property does not hold, and whatever the code raises."""
    kills = kills_of(data)
    for kill in kills:
        page = kill_record(kill, diagnose(kill))
        check_kill(kill, page, data)
        simulate(kill, _SETTINGS)
        # One renderer per input, chosen by its length: each gets its turn at a third of the cost.
        _RENDERERS[len(data) % len(_RENDERERS)]([page])
    return len(kills)


def check_kill(kill: Kill, page: KillRecord, data: bytes) -> None:
    """Check the properties of one event of `data`."""
    # The reader drops NUL bytes, which a torn write leaves in a log, and joins broken words.
    assert kill.kill_lines <= data.translate(None, _DROPPED).count(b"Kill"), "more kills than kill lines"
    assert page.summary, "an event without a summary"
    assert page.summary.isprintable()
    assert all(0 <= part.share <= 1 and part.bytes >= 0 for part in page.contributors)
    text = encode(page).decode()
    assert len(text) < 200_000 + 4 * len(data), "an event larger than its log"
    for victim in kill.victims:
        assert 0 <= victim.pid < 1 << 68
