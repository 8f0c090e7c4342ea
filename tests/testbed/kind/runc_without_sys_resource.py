#!/usr/bin/python3
"""Stands before runc where the machine lacks CAP_SYS_RESOURCE, as Docker's default runtime.

Docker asks for that capability for every privileged container, and runc refuses what it cannot give ("unable
to apply caps: operation not permitted"). Rlimits and a negative oom_score_adj, which need it too
(setrlimit(2), proc(5)), are taken out with it. Runs alone, by the system's own Python.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

RUNC = "/usr/sbin/runc"
CAPABILITY = "CAP_SYS_RESOURCE"


def without_sys_resource(process: dict[str, Any]) -> None:
    """Change the `process` of an OCI runtime specification in place."""
    for names in (process.get("capabilities") or {}).values():
        names[:] = [name for name in names if name != CAPABILITY]
    process.pop("rlimits", None)
    process["oomScoreAdj"] = max(process.get("oomScoreAdj") or 0, 0)


def value_of(arguments: list[str], *options: str) -> str | None:
    """What follows one of the options, as `--option value` or `--option=value`."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            return value if equals else arguments[place + 1]
    return None


def specification_of(arguments: list[str]) -> Path | None:
    """The file that runc will read for this command line: a bundle's config.json, or exec's process."""
    if "create" in arguments or "run" in arguments:
        return Path(value_of(arguments, "--bundle", "-b") or ".") / "config.json"
    if "exec" in arguments and (process := value_of(arguments, "--process", "-p")):
        return Path(process)
    return None


def main(arguments: list[str]) -> None:
    """Edit the file that runc is about to read, then become runc."""
    path = specification_of(arguments)
    if path is not None:
        specification = json.loads(path.read_text())
        without_sys_resource(specification.get("process", specification))
        path.write_text(json.dumps(specification))
    os.execv(RUNC, [RUNC, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
