"""`oomkeeper`: the command line. Each verb is one module beside this one, imported when it is called.

A verb's module has `command`, a click command whose callback returns the exit status. click itself is
imported only where a command line needs it.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import run_guarded
from .plain_explain import plain_explain
from .verb import Verb, asks_for_completions

if TYPE_CHECKING:
    from .verbs import VerbGroup

PROG = "oomkeeper"

VERBS: dict[str, Verb] = {
    "explain": Verb(
        "explain", "explain the OOM kills in a kernel log: a file, standard input, or this host's log"
    ),
    "simulate": Verb(
        "simulate",
        "show which process other settings would have killed, from the task tables of a kernel log",
    ),
    "plan": Verb("host_plan", "show what a policy would change on this host, without applying it"),
    "node": Verb("node", "enforce a policy's sysctls and record OOM kills on this host, without a cluster"),
    "kills": Verb("kills", "print the OOM kills recorded on this host"),
    "status": Verb("status", "print this host's sysctls, their desired values, and the kill accounting"),
    "agent": Verb("agent", "run the node agent (as the DaemonSet does)", extra="agent"),
    "controller": Verb(
        "controller", "run the cluster controller (as the Deployment does)", extra="controller"
    ),
    "completion": Verb("completion", "print the completion script for bash, zsh or fish"),
}


def group() -> "VerbGroup":
    """Return the command line with all verbs."""
    from .verbs import VerbGroup

    return VerbGroup(VERBS, name=PROG, help="Enforce OOM-related kernel settings and explain every OOM kill.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `oomkeeper` with `argv` (default: the process's own) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if asks_for_completions(PROG):
        from .verbs import complete

        return complete(group(), PROG)
    verb = words[0] if words and words[0] in VERBS else None
    return run_guarded(f"{PROG} {verb}" if verb else PROG, lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["explain"] and (work := plain_explain(words[1:])) is not None:
        return work()
    from .verbs import invoke

    return invoke(group(), PROG, words)


if __name__ == "__main__":
    sys.exit(main())
