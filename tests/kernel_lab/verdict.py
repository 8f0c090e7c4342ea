"""The project's verdict on a guest's log against what the lab did there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

from oomkeeper.diagnosis import diagnose
from oomkeeper.kernel.logs.reader import read_records
from oomkeeper.kernel.report import parse_records
from oomkeeper.model.cause import Outcome
from oomkeeper.model.diagnosis import Diagnosis
from oomkeeper.model.kill import Kill

from .truth import Truth

Event = tuple[Kill, Diagnosis]


def events(log: bytes) -> list[Event]:
    """Every OOM event of a log with its verdict, as `oomkeeper explain` comes to it."""
    return [(kill, diagnose(kill)) for kill in parse_records(read_records(io.BytesIO(log)))]


def differences(truth: Truth, log: bytes) -> list[str]:
    """What the verdict gets wrong, one line each; empty where all is as the lab did it."""
    found = events(log)
    reported = [event for event in found if event[0].header_seen]
    if not reported:
        return ["no report of an OOM kill was found"]
    return [
        *_of_events(truth, reported),
        *_of_victims(truth, found),
        *_of_the_whole(truth, reported),
    ]


_FIELDS: dict[str, Callable[[Kill, Diagnosis], object]] = {
    "cause": lambda _, verdict: verdict.cause,
    "level": lambda _, verdict: verdict.level,
    "outcome": lambda _, verdict: verdict.outcome,
    "counter": lambda _, verdict: verdict.binding_counter,
    "limit": lambda _, verdict: verdict.limit_bytes,
    "contributor": lambda _, verdict: verdict.contributors[0].name if verdict.contributors else None,
    "constraint": lambda kill, _: kill.constraint,
    "nodemask": lambda kill, _: kill.nodemask,
    "mems_allowed": lambda kill, _: kill.mems_allowed,
    "oom_memcg": lambda kill, _: kill.oom_memcg,
    "task_memcg": lambda kill, _: kill.task_memcg,
    "order": lambda kill, _: kill.invoker.order if kill.invoker else None,
    "tasks": lambda kill, _: len(kill.tasks),
}
_OF_THE_WHOLE = frozenset({"kills", "first", "rate_limited", "swap_full"})


def _of_events(truth: Truth, reported: Sequence[Event]) -> Iterator[str]:
    for key, expected in truth.facts.items():
        if key in _OF_THE_WHOLE:
            continue
        for at, (kill, verdict) in enumerate(reported):
            got = _FIELDS[key](kill, verdict)
            if str(got) != expected:
                yield f"event {at}: {key} is {got}, the lab did {expected}: {verdict.summary}"


def _of_victims(truth: Truth, found: Sequence[Event]) -> Iterator[str]:
    victims = {(victim.pid, victim.comm) for kill, _ in found for victim in kill.victims}
    if victims != set(truth.victims):
        yield f"victims are {sorted(victims)}, the lab saw {sorted(truth.victims)} die"
    lines = sum(kill.kill_lines for kill, _ in found)
    if "kills" in truth.facts and lines != int(truth.facts["kills"]):
        yield f"{lines} kill lines, /proc/vmstat counted {truth.facts['kills']}"
    named = {victim.comm for kill, _ in found[:1] for victim in kill.victims}
    if "first" in truth.facts and named != {truth.facts["first"]}:
        yield f"the first victim is {named}, the lab saw {truth.facts['first']}"
    for kill, verdict in found:
        names = {victim.comm for victim in kill.victims}
        if verdict.outcome in (Outcome.KILLED, Outcome.KILLED_GROUP) and not any(
            name in verdict.summary for name in names
        ):
            yield f"the summary names no victim of {names}: {verdict.summary}"


def _of_the_whole(truth: Truth, reported: Sequence[Event]) -> Iterator[str]:
    if truth.facts.get("rate_limited") and len(reported) >= int(truth.facts["kills"]):
        yield f"{len(reported)} reports of {truth.facts['kills']} kills: the kernel left none out"
    if truth.facts.get("swap_full") and any(kill.memory.swap_free_bytes for kill, _ in reported[:1]):
        free = reported[0][0].memory.swap_free_bytes
        total = reported[0][0].memory.swap_total_bytes
        if free is None or not total or free > total // 20:
            yield f"swap is {free} free of {total}, the lab filled it"
