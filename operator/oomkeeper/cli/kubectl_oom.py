"""`kubectl oom`: the kubectl plugin (an executable called kubectl-oom on the path)."""

import sys
from collections.abc import Sequence

from .errors import CliError, run_guarded
from .verb import Verb
from .verbs import VerbGroup, invoke

PROG = "kubectl oom"

VERBS: dict[str, Verb] = {
    "report": Verb(
        "report", "report the OOM kills of a cluster or a namespace, as text or one HTML page", "agent"
    ),
    "incidents": Verb("incidents", "list OOM incidents, the one with the last kill first", "agent"),
    "explain": Verb(
        "explain_incident", "explain the OOM kills of a pod, a workload, an incident or a node", "agent"
    ),
    "why": Verb("why", "tell what killed the containers of a pod that ended by SIGKILL (137)", "agent"),
    "recommend": Verb(
        "recommend", "recommend memory limit and request of a workload, from its OOM kills", "agent"
    ),
    "policy": Verb("policies", "show which policy sets which key on which nodes", "agent"),
    "nodes": Verb("nodes", "show each node's agent, settings and kill accounting", "agent"),
    "doctor": Verb("doctor", "find what is wrong with the installation, and how to fix it", "agent"),
    "drill": Verb("drill", "cause harmless OOM kills and follow them to incident, Event and alert", "agent"),
    "bundle": Verb("bundle", "write one redacted file for a ticket", "agent"),
    "plan": Verb("plan", "show what a policy would change on each node, without applying it", "agent"),
    "rollout": Verb("rollout", "follow, pause, resume and undo the rollout of a policy", "agent"),
    "log": Verb("explain", "explain the OOM kills in a node's kernel log: a file, or - for standard input"),
}

_EPILOG = """\
\b
The objects themselves, with kubectl:
  kubectl get oomi,ckill -A -o wide  OOM incidents; what killed containers, OOM or not
  kubectl get oomr cluster           the report over all of them
  kubectl get oomp,oomn              policies and nodes
"""

GROUP = VerbGroup(
    VERBS,
    name=PROG,
    help="Explain the OOM kills of a cluster, and what else killed a container.",
    epilog=_EPILOG,
    unknown=f"verbs: {', '.join(VERBS)}",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `kubectl oom` with `argv` (default: the process's own) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = words[0] if words and words[0] in VERBS else None
    return run_guarded(f"{PROG} {verb}" if verb else PROG, lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    try:
        return invoke(GROUP, PROG, words)
    except ModuleNotFoundError as error:
        # The plugin as one file has not every package; a missing module of oomkeeper is a bug.
        if error.name is None or error.name.partition(".")[0] == "oomkeeper":
            raise
        raise CliError(
            f"the Python package {error.name!r} is not installed; pip install 'oomkeeper[agent]'"
        ) from error
