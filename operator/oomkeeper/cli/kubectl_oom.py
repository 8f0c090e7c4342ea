"""`kubectl oom`: what a person at a cluster asks, as a kubectl plugin (an executable called kubectl-oom on
the path).
"""

import sys
from collections.abc import Sequence

from .errors import usage_error
from .main import Verb, command

PROG = "kubectl oom"

VERBS: dict[str, Verb] = {
    "log": Verb("explain", "explain the OOM kills in a node's kernel log: a file or - for standard input"),
}

_CLUSTER = """\
What the cluster recorded, with kubectl itself:
  kubectl get oomi -A -o wide   every OOM incident, with its cause and what to do
  kubectl get oomr cluster      the report over all of them
  kubectl get oomp,oomn         policies and nodes
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `kubectl oom` with `argv` (default: the process's own) and give its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-") and words[0] not in VERBS:
        usage_error(PROG, f"unknown verb {words[0]!r}; incidents and reports: kubectl get oomi,oomr -A")
    return command(PROG, VERBS, "Explains OOM kills.", words, epilog=_CLUSTER)
