"""`oomkeeper`: finds the verb, imports that verb's module and nothing else, and turns its end into an exit
status.

A verb is one module beside this one with `add_arguments(parser)` and `run(args) -> int`.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn, Protocol, cast

from oomkeeper import __version__

from .errors import run_guarded, usage_error

PROG = "oomkeeper"


class Verb(NamedTuple):
    """Where a verb lives and what it does, in one line."""

    module: str
    what: str


VERBS: dict[str, Verb] = {
    "explain": Verb(
        "explain", "explain the OOM kills in a kernel log: a file, standard input or this host's own"
    ),
    "node": Verb(
        "node", "keep one host's OOM sysctls as a policy says and witness its OOM kills, without a cluster"
    ),
    "kills": Verb("kills", "print the OOM kills that this host's agent has stored"),
    "status": Verb(
        "status", "print this host's sysctls against its policy, and whether every kill is accounted for"
    ),
    "agent": Verb("agent", "run the node's half of the operator (what the DaemonSet runs)"),
    "controller": Verb("controller", "run the cluster's half of the operator (what the Deployment runs)"),
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
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        return run_guarded(PROG, lambda: _say(_help()))
    if words[0] in ("-V", "--version"):
        return run_guarded(PROG, lambda: _say(f"{PROG} {__version__}\n"))
    verb = VERBS.get(words[0])
    if verb is None:
        kind = "option" if words[0].startswith("-") else "verb"
        usage_error(PROG, f"unknown {kind} {words[0]!r}; verbs: {', '.join(VERBS)}")
    return run_verb(f"{PROG} {words[0]}", verb, words[1:])


def run_verb(prog: str, verb: Verb, words: Sequence[str]) -> int:
    """Import one verb, parse its arguments and run it."""

    def work() -> int:
        module = cast(_VerbModule, import_module(f"{__package__}.{verb.module}"))
        parser = Parser(prog=prog, description=_sentence(verb.what), allow_abbrev=False)
        module.add_arguments(parser)
        return module.run(parser.parse_args(words))

    return run_guarded(prog, work)


def _help() -> str:
    room = max(len(name) for name in VERBS)
    verbs = "".join(f"  {name.ljust(room)}  {verb.what}\n" for name, verb in VERBS.items())
    return (
        f"usage: {PROG} VERB [ARGUMENTS]\n\n"
        "Keeps every node's out-of-memory behaviour as policy says, and explains every OOM kill.\n\n"
        f"verbs:\n{verbs}\n{PROG} VERB --help says more of one verb; {PROG} --version prints the version.\n"
    )


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    sys.exit(main())
