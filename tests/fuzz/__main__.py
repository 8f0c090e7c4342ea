"""`python -m tests.fuzz --runs 1000000`: atheris (libFuzzer for Python) over `properties.check`, guided by
the coverage of the readers, the parser and the diagnosis.

atheris is no dependency of the project: where it is missing, it is put into the running environment first,
and that is said. Without it (`--plain`, or on a platform that has no wheel) the same mutations run unguided.
An input that breaks a property is kept beside the working directory's `crash-*`, and the exit status is 1."""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from types import ModuleType

_ATHERIS = "atheris==3.0.0"
_MAX_BYTES = 4096
"""Most reports of the seeds are longer and come in cut; a quarter of the bytes is three times the inputs."""
_SLOWEST_SECONDS = 20
_MOST_MIB = 1024


def main() -> int:
    """Fuzz, and say how many inputs were run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-bytes", type=int, default=_MAX_BYTES, help="of an input (default %(default)s)")
    parser.add_argument("--plain", action="store_true", help="unguided, without atheris")
    parser.add_argument("--corpus", type=Path, help="a folder that keeps interesting inputs for the next run")
    args = parser.parse_args()
    atheris = None if args.plain else _atheris()
    return _plain(args) if atheris is None else _guided(atheris, args)


def _atheris() -> ModuleType | None:
    try:
        import atheris
    except ImportError:
        print(f"{_ATHERIS} is not installed; installing it into {sys.prefix}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", _ATHERIS], check=False)
        if done.returncode != 0:
            print("that failed: the same mutations run without its guidance", file=sys.stderr)
            return None
        import atheris
    return atheris  # type: ignore[no-any-return]


def _plain(args: argparse.Namespace) -> int:
    from .properties import check
    from .shapes import alter, start

    random, events, slowest, begun = Random(args.seed), 0, 0.0, time.monotonic()
    for number in range(args.runs):
        data = alter(start(random), random)
        before = time.process_time()
        try:
            events += check(data)
        except Exception:
            crash = Path(f"crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}")
            crash.write_bytes(data)
            print(f"input {number} kept as {crash}", file=sys.stderr)
            raise
        slowest = max(slowest, time.process_time() - before)
    took = time.monotonic() - begun
    print(f"{args.runs:,} inputs, {events:,} events, slowest {slowest * 1000:.0f} ms of CPU, {took:.0f} s")
    return 0


def _guided(atheris: ModuleType, args: argparse.Namespace) -> int:
    # Only what reads hostile bytes is instrumented: the standard library's branches teach nothing here.
    with atheris.instrument_imports(include=["oomkeeper.kernel", "oomkeeper.diagnosis"]):
        from .properties import check
    from . import seeds
    from .shapes import alter, start

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        base = start(random) if not data or random.random() < 0.1 else data
        if random.random() < 0.2:
            return bytes(atheris.Mutate(base[:max_size], max_size))
        return alter(base, random)[:max_size]

    words = [
        sys.argv[0],
        f"-runs={args.runs}",
        f"-seed={args.seed}",
        f"-max_len={args.max_bytes}",
        f"-timeout={_SLOWEST_SECONDS}",
        f"-rss_limit_mb={_MOST_MIB}",
        "-print_final_stats=1",
    ]
    if args.corpus is not None:
        args.corpus.mkdir(parents=True, exist_ok=True)
        for number, log in enumerate(seeds.logs()):
            (args.corpus / f"seed-{number}").write_bytes(log[: args.max_bytes])
        words.append(os.fspath(args.corpus))
    atheris.Setup(words, check_one(check), custom_mutator=mutate)
    # libFuzzer ends the process itself, with its own exit status.
    atheris.Fuzz()
    return 0


def check_one(check: object) -> object:
    """libFuzzer takes a function without a result."""

    def one(data: bytes) -> None:
        check(data)  # type: ignore[operator]

    return one


if __name__ == "__main__":
    sys.exit(main())
