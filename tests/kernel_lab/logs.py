"""The recorded logs: one folder per kernel and cgroup version, each with what the lab did in truth.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from .truth import Recording, Truth

LOGS = Path(__file__).parent / "logs"
SETS = ("5.10-v1", "5.10-v2", "6.1-v2", "6.12-v2", "7.3-v2")
"""KERNEL-CGROUPVERSION. Debian builds 6.12 and 7.3 without CONFIG_MEMCG_V1."""
_WRITTEN = "reclaim has written most of the file by the time it gives up, and only then the kernel kills"
CANNOT: dict[str, dict[str, str]] = {"6.1-v2": {"dirty": _WRITTEN}}
"""Set -> case -> why that kernel cannot show it."""
_MOST_REPORTS = 12
_REPORT = re.compile(rb" invoked oom-killer: ")


def load(name: str) -> list[Recording]:
    """The recordings of a set, by case; empty where there are none."""
    folder = LOGS / name
    if not (folder / "truth.json").exists():
        return []
    truths = json.loads((folder / "truth.json").read_text())
    return [
        Recording(name=case, truth=Truth.of_json(raw), log=(folder / f"{case}.log").read_bytes())
        for case, raw in sorted(truths.items())
    ]


def save(name: str, recordings: Iterable[Recording]) -> None:
    """Add recordings to a set, in place of older ones of the same cases."""
    folder = LOGS / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = {recording.name: recording for recording in load(name)}
    kept |= {recording.name: recording for recording in recordings}
    for recording in kept.values():
        (folder / f"{recording.name}.log").write_bytes(recording.log)
    truths = {case: kept[case].truth.as_json() for case in sorted(kept)}
    (folder / "truth.json").write_text(json.dumps(truths, indent=1) + "\n")


def trimmed(recording: Recording) -> Recording:
    """Without the repetitions of a case that fails again and again for seconds (nokillable-cgroup): the first
    dozen reports, and all of them where there are no more."""
    lines = recording.log.splitlines(keepends=True)
    starts = [at for at, line in enumerate(lines) if _REPORT.search(line)]
    if len(starts) <= _MOST_REPORTS or recording.truth.victims:
        return recording
    return Recording(
        name=recording.name,
        truth=recording.truth,
        log=b"".join(lines[: starts[2]]),
        attempts=recording.attempts,
    )
