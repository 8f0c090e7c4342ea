"""The tests refuse a cluster that was not given to them. These tests need no cluster."""

from pathlib import Path

import pytest

from .choosing import CONTEXT, KUBECONFIG, Chosen, RefusedError, chosen


def kubeconfig(folder: Path, *contexts: str) -> Path:
    path = folder / "config"
    names = "".join(f"- name: {name}\n  context: {{cluster: c, user: u}}\n" for name in contexts)
    path.write_text(f"current-context: {contexts[0]}\ncontexts:\n{names}")
    return path


def test_default_is_the_testbed_cluster() -> None:
    assert chosen({}) is None


def test_kind_context_is_accepted(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "kind-mine", "production")
    assert chosen({KUBECONFIG: str(path)}) == Chosen(path, "kind-mine")


def test_other_context_is_refused_unless_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "production", "kind-mine")
    with pytest.raises(RefusedError, match=f"production of .* is not kind's.*set {CONTEXT}=production"):
        chosen({KUBECONFIG: str(path)})
    assert chosen({KUBECONFIG: str(path), CONTEXT: "production"}) == Chosen(path, "production")
    assert chosen({KUBECONFIG: str(path), CONTEXT: "kind-mine"}) == Chosen(path, "kind-mine")


def test_missing_context_is_refused(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "kind-mine")
    with pytest.raises(RefusedError, match="no context 'kind-other'"):
        chosen({KUBECONFIG: str(path), CONTEXT: "kind-other"})
