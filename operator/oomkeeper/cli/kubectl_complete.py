"""`kubectl_complete-oom`: completion of `kubectl oom` through kubectl.

kubectl calls the executable with the words after `oom`, the one to complete last, and expects a candidate per
line (a tab before its description) and a line with cobra's directive (cli-runtime and
k8s.io/kubectl/pkg/cmd/plugin_completion)."""

import sys
from collections.abc import Sequence

from .kubectl_oom import GROUP, PROG

_FILES = ":0"
_NO_FILES = ":4"
"""cobra's ShellCompDirectiveDefault and ShellCompDirectiveNoFileComp."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the candidates for the last word of `argv` (default: the process's own)."""
    from click import ClickException
    from click.shell_completion import ShellComplete

    from .errors import CliError

    *words, incomplete = [*(sys.argv[1:] if argv is None else argv)] or [""]
    if not words and not incomplete.startswith("-"):
        # Verbs alone: nothing else is imported.
        lines = [f"{name}\t{verb.what}" for name, verb in GROUP.verbs.items() if name.startswith(incomplete)]
        print(*lines, _NO_FILES, sep="\n")
        return 0
    try:
        items = ShellComplete(GROUP, {}, PROG, "").get_completions(words, incomplete)
    except (ClickException, CliError):  # an unknown verb, an option with a wrong value before the last word
        items = []
    files = any(item.type in ("file", "dir") for item in items)
    for item in items:
        if item.type == "plain":
            print(f"{item.value}\t{item.help}" if item.help else item.value)
    print(_FILES if files else _NO_FILES)
    return 0
