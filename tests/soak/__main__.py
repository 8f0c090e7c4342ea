"""`make soak`: real kills while agent, controller, API server, kernel log, disk and clock fail.

Needs root: the agent runs for a real node (this machine), against a real API server and kubelet. Exits with 1
where a kill was lost, counted twice or not attributed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.kernel.harness import why_not as why_no_kills
from tests.testbed import TestbedError, native_node

from .run import Outcome, run
from .size import SIZES


def main() -> int:
    """Print what is done, and the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small", help="small: some two minutes (default)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for the logs (default: removed)")
    args = parser.parse_args()
    if (reason := why_no_kills()) is not None:
        print(f"not run: {reason}", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as made, native_node(say=_say) as node:
            folder = args.keep or Path(made)
            folder.mkdir(parents=True, exist_ok=True)
            outcome = run(node, folder=folder, size=SIZES[args.size], say=_say)
    except TestbedError as error:
        print(f"not run: {error}", file=sys.stderr)
        return 2
    _show(outcome)
    return 1 if outcome.wrong else 0


def _say(text: str) -> None:
    print(f"soak: {text}", flush=True)


def _show(outcome: Outcome) -> None:
    print(
        f"{os.uname().release}, {os.cpu_count()} CPUs: {outcome.kills} kills in {outcome.seconds:.0f} s, "
        f"{outcome.agent_kills} SIGKILLs of the agent, {outcome.controller_kills} of the controller"
    )
    print(
        f"account: {outcome.recorded} recorded (with others' kills), {outcome.unattributed} unattributed, "
        f"{outcome.lost_log_records} log records lost"
    )
    print(f"agent: at most {outcome.memory_mib:.1f} MiB private memory")
    storm = outcome.storm
    print(
        f"storm: {storm.kills} kills in cgroups in {storm.seconds:.0f} s beside those in pods; the agent: "
        f"{storm.cpu_seconds:.0f} s of CPU, at most {storm.memory_mib:.1f} MiB private memory; "
        f"{storm.writes.total()} writes to the API server with {storm.incidents} incidents: "
        + ", ".join(f"{count} {name}" for name, count in storm.writes.most_common())
    )
    for sentence in outcome.wrong:
        print(f"WRONG: {sentence}")
    print(
        "result: " + ("wrong, see above" if outcome.wrong else "nothing lost, nothing twice, all attributed")
    )


if __name__ == "__main__":
    sys.exit(main())
