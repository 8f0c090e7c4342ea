"""`python -m demo`: both parts, a summary, and an exit code that can be trusted."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.testbed import TestbedError

from . import cluster, harness, host
from .narration import DemoError, Narrator

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

_EPILOG = """\
Exit code 0: everything shown really happened; what could not be shown is listed at the end.
1: a step did not happen as narrated, or the machine could not be restored; the last line says which.
2: the command line is wrong. 130: interrupted; the machine was restored first."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        harness.check(options)
    except harness.UsageError as error:
        return _wrong(error)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    tell = Narrator()
    started = time.monotonic()
    try:
        if options.only in (None, "host"):
            host.show(tell)
        if options.only in (None, "cluster"):
            cluster.show(tell, options=options)
    except harness.UsageError as error:
        return _wrong(error)
    except (DemoError, TestbedError) as error:
        tell.failed(str(error))
        return FAILED
    except KeyboardInterrupt:
        tell.failed("interrupted; the machine has been restored")
        return INTERRUPTED
    tell.summary(seconds=time.monotonic() - started)
    return 0


def _wrong(error: harness.UsageError) -> int:
    print(f"python -m demo: {error} (see python -m demo --help)", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Shows oomkeeper at work: real kills on this host, then on a cluster.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--only", choices=("host", "cluster"), help="only this part")
    where = parser.add_argument_group(
        "which cluster",
        "default: a cluster of one node made for the demo on this machine, and removed after it",
    )
    named = where.add_mutually_exclusive_group()
    named.add_argument("--kind", metavar="NAME", help="the kind cluster of this name")
    named.add_argument("--kubeconfig", metavar="FILE", type=Path, help="a cluster of yours")
    where.add_argument(
        "--context", metavar="NAME", help="with --kubeconfig, where the file has several contexts"
    )
    where.add_argument(
        "--image",
        metavar="IMAGE",
        help="with --kind or --kubeconfig: an image with a shell and tail (default: busybox)",
    )
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
