"""`kubectl oom` in a cluster that has none of the custom resources."""

from __future__ import annotations

import pytest

from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.cli.cluster import is_unknown_kind

from .cluster_server import Cluster, Run, cluster, run

__all__ = ["cluster", "run"]

VERBS = [
    ("incidents",),
    ("explain", "web"),
    ("why", "web-0"),
    ("recommend", "deploy/web"),
    ("policy",),
    ("report",),
]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_verb_asks_in_one_line_whether_oomkeeper_is_installed(
    cluster: Cluster, run: Run, words: tuple[str, ...]
) -> None:
    cluster.missing = "404 page not found"
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.endswith("; is oomkeeper installed in this cluster?\n")


@pytest.mark.parametrize(
    ("path", "message", "unknown"),
    [
        ("/apis/oomkeeper.dev/v1alpha1/oompolicies/web", "404 404 page not found", True),
        (
            "/apis/oomkeeper.dev/v1alpha1/oompolicies",
            "404 the server could not find the requested resource",
            True,
        ),
        (
            "/apis/oomkeeper.dev/v1alpha1/oompolicies/web",
            '404 oompolicies.oomkeeper.dev "web" not found',
            False,
        ),
        ("/api/v1/nodes/n", "404 404 page not found", False),
    ],
)
def test_object_that_does_not_exist_is_not_blamed_on_the_installation(
    path: str, message: str, unknown: bool
) -> None:
    assert is_unknown_kind(ApiError(f"GET {path}: {message}", status=404)) is unknown
