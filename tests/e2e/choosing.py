"""Which cluster the tests may kill pods on, and change sysctls of.

Without a word it is the kind cluster of `make kind`, made for the session where it is not up. With
OOMKEEPER_E2E_KUBECONFIG it is the one that file names, with oomkeeper already installed: the
context has to be kind's, or be spelled out in OOMKEEPER_E2E_CONTEXT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

KUBECONFIG, CONTEXT = "OOMKEEPER_E2E_KUBECONFIG", "OOMKEEPER_E2E_CONTEXT"


class Chosen(NamedTuple):
    """A cluster named by the environment."""

    kubeconfig: Path
    context: str


class RefusedError(Exception):
    """Not a cluster to kill on; the message says what to set."""


def chosen(environment: Mapping[str, str]) -> Chosen | None:
    """The cluster that the environment names, None where it names none. Raises RefusedError."""
    if not environment.get(KUBECONFIG):
        return None
    import yaml

    path = Path(environment[KUBECONFIG])
    config: Any = yaml.safe_load(path.read_text())
    allowed = environment.get(CONTEXT)
    context = allowed or str(config.get("current-context") or "")
    if context not in [one["name"] for one in config.get("contexts") or ()]:
        raise RefusedError(f"{path} has no context {context!r}")
    if not context.startswith("kind-") and context != allowed:
        raise RefusedError(
            f"the context {context} of {path} is not kind's: these tests kill pods, restart kubelets and "
            f"change sysctls. If that is meant, set {CONTEXT}={context}"
        )
    return Chosen(path, context)
