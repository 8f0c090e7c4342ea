"""`kubectl oom`: the kubectl plugin (an executable called kubectl-oom on the path)."""

import sys
from collections.abc import Sequence

from .errors import run_guarded
from .verb import Verb
from .verbs import VerbGroup, invoke

PROG = "kubectl oom"

VERBS: dict[str, Verb] = {
    "why": Verb("why", "tell what killed the containers of a pod that ended by SIGKILL (137)", "agent"),
    "plan": Verb("plan", "show what a policy would change on each node, without applying it", "agent"),
    "rollout": Verb("rollout", "follow, pause, resume and undo the rollout of a policy", "agent"),
    "log": Verb("explain", "explain the OOM kills in a node's kernel log: a file, or - for standard input"),
}

_CLUSTER = """\
\b
What the cluster recorded, with kubectl itself:
  kubectl get oomi -A -o wide   every OOM incident, with its cause and what to do
  kubectl get ckill -A -o wide  what killed containers, OOM or not
  kubectl get oomr cluster      the report over all of them
  kubectl get oomp,oomn         policies and nodes
"""

GROUP = VerbGroup(
    VERBS,
    name=PROG,
    help="Explain OOM kills, and what else killed a container.",
    epilog=_CLUSTER,
    unknown="incidents and reports: kubectl get oomi,oomr -A",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `kubectl oom` with `argv` (default: the process's own) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = words[0] if words and words[0] in VERBS else None
    return run_guarded(f"{PROG} {verb}" if verb else PROG, lambda: invoke(GROUP, PROG, words))
