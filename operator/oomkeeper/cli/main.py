"""`oomkeeper`: finds the verb, imports that verb's module and nothing else, and turns its end into an exit
status.

A verb is one module beside this one with `add_arguments(parser)` and `run(args) -> int`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn, Protocol, cast

from oomkeeper import __version__

from .errors import CliError, run_guarded, usage_error

PROG = "oomkeeper"


class Verb(NamedTuple):
    """Where a verb lives and what it does, in one line."""

    module: str
    what: str
    extra: str = ""
    """Which of the package's extras it needs."""


VERBS: dict[str, Verb] = {
    "explain": Verb(
        "explain", "explain the OOM kills in a kernel log: a file, standard input or this host's own"
    ),
    "simulate": Verb(
        "simulate", "say who would have died under other settings, from the task tables of a kernel log"
    ),
    "node": Verb(
        "node", "keep one host's OOM sysctls as a policy says and witness its OOM kills, without a cluster"
    ),
    "kills": Verb("kills", "print the OOM kills that this host's agent has stored"),
    "status": Verb(
        "status", "print this host's sysctls against its policy, and whether every kill is accounted for"
    ),
    "agent": Verb("agent", "run the node's half of the operator (what the DaemonSet runs)"),
    "controller": Verb(
        "controller", "run the cluster's half of the operator (what the Deployment runs)", "controller"
    ),
}


class _VerbModule(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        usage_error(self.prog, message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `oomkeeper` with `argv` (default: the process's own) and give its exit status."""
    what = "Keeps every node's out-of-memory behaviour as policy says, and explains every OOM kill."
    return command(PROG, VERBS, what, list(sys.argv[1:] if argv is None else argv))


def command(
    prog: str, verbs: Mapping[str, Verb], what: str, words: Sequence[str], *, epilog: str = ""
) -> int:
    """Run the verb that `words` begins with, out of `verbs`; or print help or the version."""
    first = words[0] if words else "--help"
    if first in ("-h", "--help", "help"):
        return run_guarded(prog, lambda: _say(_help(prog, verbs, what, epilog)))
    if first in ("-V", "--version"):
        return run_guarded(prog, lambda: _say(f"oomkeeper {__version__}\n"))
    verb = verbs.get(first)
    if verb is None:
        kind = "option" if first.startswith("-") else "verb"
        usage_error(prog, f"unknown {kind} {first!r}; verbs: {', '.join(verbs)}")
    return run_guarded(f"{prog} {first}", lambda: _run_verb(f"{prog} {first}", verb, words[1:]))


def _run_verb(prog: str, verb: Verb, words: Sequence[str]) -> int:
    try:
        module = cast(_VerbModule, import_module(f"{__package__}.{verb.module}"))
    except ModuleNotFoundError as error:
        # A verb of an extra that was not installed. A missing module of our own is a bug, and keeps its
        # traceback.
        if error.name is None or error.name.partition(".")[0] == "oomkeeper":
            raise
        raise CliError(
            f"the Python package {error.name!r} is not installed; pip install 'oomkeeper[{verb.extra}]'"
        ) from error
    parser = Parser(prog=prog, description=f"{verb.what[:1].upper()}{verb.what[1:]}.", allow_abbrev=False)
    module.add_arguments(parser)
    return module.run(parser.parse_args(words))


def _help(prog: str, verbs: Mapping[str, Verb], what: str, epilog: str) -> str:
    room = max(len(name) for name in verbs)
    listed = "".join(f"  {name.ljust(room)}  {verb.what}\n" for name, verb in verbs.items())
    return (
        f"usage: {prog} VERB [ARGUMENTS]\n\n{what}\n\nverbs:\n{listed}\n{epilog}"
        f"{prog} VERB --help says more of one verb; {prog} --version prints the version.\n"
    )


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
