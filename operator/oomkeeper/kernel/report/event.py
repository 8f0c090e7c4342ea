"""The records of one event while it is being put together."""

from dataclasses import dataclass, field

from ...model.log import LogRecord
from .kinds import Kind

MAX_EVENT_BYTES = 24 << 20
"""More text than a table of 200,000 tasks needs; beyond it an event's lines are counted as missing, not
kept."""


@dataclass(slots=True)
class Draft:
    """Mutable; only `assemble` writes it and only `build` reads it."""

    caller: bytes | None = None
    usec: int | None = None
    wall: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    last_usec: int | None = None
    texts: list[bytes] = field(default_factory=list)
    """Everything from the first line to the decision, embedded newlines and all."""
    kinds: dict[Kind, int] = field(default_factory=dict)
    """How many lines of each kind."""
    killed: list[bytes] = field(default_factory=list)
    kill_seqs: list[int] = field(default_factory=list)
    after: list[tuple[Kind, bytes]] = field(default_factory=list)
    """Lines after the decision: group, reaped, already exiting, panic."""
    size_bytes: int = 0
    truncated: bool = False
    head_cut: bool = False
    """The text began inside this event."""
    lost_before: int = 0
    table_pids: frozenset[bytes] | None = None
    """The pids of the task table, once somebody asked."""
    idle: int = 0
    """Records since the last one that belonged here."""

    @classmethod
    def begin(cls, record: LogRecord) -> "Draft":
        """An empty draft that takes its time and place from `record`."""
        return cls(
            caller=record.caller,
            usec=record.usec,
            wall=record.wall,
            first_seq=record.seq,
            last_seq=record.seq,
        )

    def add(self, kind: Kind | None, record: LogRecord) -> None:
        """Append a line of the report proper."""
        self.size_bytes += len(record.text) + 50
        if self.size_bytes > MAX_EVENT_BYTES and kind is None:
            self.truncated = True
        else:
            self.texts.append(record.text)
        if kind is not None:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self._touch(record)

    def add_kill(self, record: LogRecord) -> None:
        """Note a `Killed process` line."""
        self.killed.append(record.text)
        self.kinds[Kind.KILLED] = self.kinds.get(Kind.KILLED, 0) + 1
        if record.seq is not None:
            self.kill_seqs.append(record.seq)
        self._touch(record)

    def add_after(self, kind: Kind, record: LogRecord) -> None:
        """Note a line that comes after, or besides, the kill."""
        self.after.append((kind, record.text))
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self._touch(record)

    def pids(self) -> frozenset[bytes]:
        """The pids of the task table's rows, as printed."""
        if self.table_pids is None:
            rows = (text[1:].partition(b"]")[0].strip() for text in self.texts if text[:1] == b"[")
            self.table_pids = frozenset(pid for pid in rows if pid.isdigit())
        return self.table_pids

    def has(self, kind: Kind) -> bool:
        """Whether a line of that kind was seen."""
        return kind in self.kinds

    @property
    def decided(self) -> bool:
        """The line that says what came of it is there."""
        kinds = self.kinds
        return (
            Kind.KILLED in kinds or Kind.EXITING in kinds or Kind.NO_KILLABLE in kinds or Kind.PANIC in kinds
        )

    @property
    def strong(self) -> bool:
        """Proven an OOM event: some line says so, not merely memory statistics."""
        return any(kind is not Kind.CONTEXT and kind is not Kind.REAPED for kind in self.kinds)

    def _touch(self, record: LogRecord) -> None:
        self.idle = 0
        if record.seq is not None:
            self.last_seq = record.seq
        if record.usec is not None:
            self.last_usec = record.usec
