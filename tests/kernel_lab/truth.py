"""What the lab did, as the guest states it: what a case set out to do, and who died of it by wait() and
/proc/vmstat. Nothing of it comes from the kernel's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Truth:
    facts: Mapping[str, str]
    """Statements of guest/cases/: `cause`, `level`, `limit`, ... and `kills`, the growth of /proc/vmstat's
    count."""
    victims: tuple[tuple[int, str], ...] = ()
    """(pid, comm) of the processes that ended by SIGKILL."""

    def as_json(self) -> dict[str, object]:
        return {**self.facts, "victims": [f"{pid}:{comm}" for pid, comm in self.victims]}

    @classmethod
    def of_json(cls, raw: Mapping[str, object]) -> Truth:
        facts = {key: str(value) for key, value in raw.items() if key != "victims"}
        victims = raw.get("victims", [])
        assert isinstance(victims, list)
        return cls(facts=facts, victims=tuple(_victim(one) for one in victims))


@dataclass
class Recording:
    """One case as it came out of the guest."""

    name: str
    truth: Truth
    log: bytes
    attempts: int = 1
    failure: str | None = None
    """Why there is no log: the guest did not bring the case to its end."""


@dataclass
class _Section:
    facts: dict[str, str] = field(default_factory=dict)
    victims: list[tuple[int, str]] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)


def read_talk(talk: bytes) -> tuple[list[Recording], Recording | None]:
    """The finished cases of what a guest wrote to its second serial port (guest/run.sh), and the one that it
    was in when it stopped."""
    finished: list[Recording] = []
    name: str | None = None
    section, in_log = _Section(), False
    for line in talk.replace(b"\r", b"").split(b"\n"):
        word, _, rest = line.partition(b" ")
        if word == b"LAB-BEGIN":
            name, section, in_log = rest.decode(), _Section(), False
        elif word == b"LAB-END" and name is not None:
            finished.append(_recording(name, section))
            name = None
        elif word == b"LAB-LOG":
            in_log = True
        elif word == b"LAB-FACT" and not in_log:
            key, _, value = rest.decode(errors="replace").partition(" ")
            if key == "victim":
                section.victims.append(_victim(value))
            else:
                section.facts[key] = value
        elif in_log and line:
            section.log.append(line)
    return finished, _recording(name, section) if name is not None else None


def _recording(name: str, section: _Section) -> Recording:
    truth = Truth(facts=dict(section.facts), victims=tuple(section.victims))
    return Recording(name=name, truth=truth, log=b"".join(line + b"\n" for line in section.log))


def _victim(text: str) -> tuple[int, str]:
    pid, _, comm = text.partition(":")
    return int(pid), comm
