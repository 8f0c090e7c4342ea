"""`python -m tests.kernel_lab`: run cases in the guests, compare, and on request keep the logs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.testbed.qemu import kernel

from .boots import record
from .cases import Case, cases
from .image import require_programs
from .logs import CANNOT, LOGS, SETS, save, trimmed
from .verdict import differences

_MOST_LINES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    require_programs(say=_say)
    failed = 0
    for name in options.set or SETS:
        began = time.monotonic()
        wanted = [case for case in cases(cgroups=name[-2:]) if _asked(case.name, options.case, of=name)]
        wrong = _run(name, wanted, write=options.write)
        failed += wrong
        _say(f"{name}: {len(wanted)} cases, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _asked(case: str, named: Sequence[str] | None, *, of: str) -> bool:
    return case in named if named else case not in CANNOT.get(of, {})


def _run(name: str, wanted: Sequence[Case], *, write: bool) -> int:
    series, _, version = name.partition("-")
    wrong = 0
    last = time.monotonic()
    for recording in record(kernel(series, say=_say), cgroups=version, wanted=wanted, say=_say):
        now = time.monotonic()
        found = [recording.failure] if recording.failure else differences(recording.truth, recording.log)
        print(f"{'WRONG' if found else 'ok   '} {name} {recording.name} (+{now - last:.0f} s)", flush=True)
        for line in found[:_MOST_LINES]:
            print(f"      {line}", flush=True)
        wrong += bool(found)
        last = now
        if write and not recording.failure:
            save(name, [trimmed(recording)])
    return wrong


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kernel_lab", description=__doc__)
    parser.add_argument("--set", action="append", choices=SETS, help="kernel and cgroup version; all")
    parser.add_argument("--case", action="append", choices=[case.name for case in cases()], help="all")
    parser.add_argument(
        "--write", action="store_true", help=f"keep the logs in tests/kernel_lab/{LOGS.name}/"
    )
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
