"""docs/kubectl-oom.md: every verb has a section, and the examples are what the verbs print."""

from __future__ import annotations

import re
import shlex

import pytest

from oomkeeper.cli.kubectl_oom import VERBS
from tests.unit.cli.cluster_server import Cluster, Run, cluster, run

from .kubectl_oom_cluster import fill
from .pages import CHECKOUT

__all__ = ["cluster", "run"]

PAGE = (CHECKOUT / "docs" / "kubectl-oom.md").read_text()
OTHERS = {"why", "log", "report", "rollout", "plan"}
"""Verbs with a page of their own."""
_SINCE = re.compile(r"(?:not been ready|Silent) since 20\d\d-\d\d-\d\dT[\d:]+Z")


def examples() -> list[tuple[str, str]]:
    """(command, output) of each block; a command without output is not run."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("kubectl oom ") and output.strip():
                found.append((command, output))
    return found


def test_every_verb_has_a_section() -> None:
    for verb in VERBS:
        assert verb in OTHERS or f"\n## {verb}\n" in PAGE, verb


@pytest.mark.parametrize(("command", "output"), examples())
def test_example_is_what_is_printed(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch, command: str, output: str
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    fill(cluster)
    words = shlex.split(command, comments=True)[2:]
    _, out, err = run(*words)
    printed = "\n".join(line.rstrip() for line in out.splitlines())
    # The time since when the agent is silent is relative to now.
    assert _SINCE.sub("", printed.strip()) == _SINCE.sub("", output.strip()), err
