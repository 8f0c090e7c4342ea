"""dmesg --json: one object a record, spread over lines, with `msg` as its last member.

{
   "dmesg": [
      {
         "pri": 4,
         "time":    123.456789,
         "msg": "text"
      },{
"""

from oomkeeper.model.log import LogRecord

from ...facility import LEVELS, split_priority
from ...lazy import lazy
from .frame import Frame, Kind
from .json_text import encode, loads

_FIELD = lazy(rb'\s*"(fac|pri|time|caller|msg)": *(.*?),?\s*$')
_BETWEEN = (b"}", b"},{", b"]", b"{")


class DmesgJsonReader:
    """Reads the records line by line, from the line `"dmesg": [` on."""

    def __init__(self) -> None:
        self.active = False
        """True while the list is unfinished."""
        self._fields: dict[bytes, bytes] = {}

    @staticmethod
    def begins(line: bytes) -> bool:
        """Return True if the list begins with this line."""
        return line.strip() == b'"dmesg": ['

    def take(self, line: bytes) -> tuple[bool, Frame | None]:
        """Return (the line is part of the list, the record that it completes)."""
        if not self.active:
            self.active = self.begins(line)
            return self.active, None
        if line.strip() in _BETWEEN:
            return True, None
        if found := _FIELD.match(line):
            return True, self._field(found[1], found[2])
        self.active = False
        return False, None

    def _field(self, name: bytes, value: bytes) -> Frame | None:
        self._fields[name] = value
        if name != b"msg":
            return None
        fields, self._fields = self._fields, {}
        try:
            text = loads(value)
        except (ValueError, RecursionError):
            return None
        return Frame(_record(fields, text), Kind.OTHER, 0) if isinstance(text, str) else None


def _record(fields: dict[bytes, bytes], text: str) -> LogRecord:
    priority = fields.get(b"pri", b"").strip(b'" ')
    facility = fields.get(b"fac", b"").strip(b'" ')
    level, kernel = LEVELS.get(priority), facility in (b"", b"kern", b"0")
    if priority.isdigit():
        level, own = split_priority(int(priority))
        kernel = kernel and own
    seconds, _, fraction = fields.get(b"time", b"").strip(b'" ').partition(b".")
    usec = int(seconds) * 1_000_000 + int(fraction.ljust(6, b"0")[:6] or b"0") if seconds.isdigit() else None
    caller = fields.get(b"caller", b"").strip(b'" ') or None
    return LogRecord(text=encode(text), usec=usec, caller=caller, level=level, kernel=kernel)
