"""`kubectl_complete-oom`: candidates and cobra's directive, as kubectl reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from oomkeeper.cli.kubectl_complete import main
from oomkeeper.cli.kubectl_oom import VERBS
from tests.unit.agent.kube_server import server
from tests.unit.reporting.incident_samples import incident

from .cluster_server import GROUP, Cluster, cluster

__all__ = ["cluster"]


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file


def complete(
    kubeconfig: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str], *words: str
) -> list[str]:
    with server(cluster.answer) as url:
        document = {
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        }
        kubeconfig.write_text(yaml.safe_dump(document))
        assert main(words) == 0
    return capsys.readouterr().out.splitlines()


def test_verbs_come_with_their_descriptions(
    kubeconfig: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = complete(kubeconfig, cluster, capsys, "")
    assert lines == [*(f"{name}\t{verb.what}" for name, verb in VERBS.items()), ":4"]
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("incidents", "-o", "y"), ["yaml", ":4"]),
        (("--context", "h"), [":4"]),
        (("incidents", "--context", "h"), ["here", ":4"]),
        (("incidents", "-n", ""), ["shop", ":4"]),
        (("explain", ""), ["deployment/web", "node/n1", "web-app-0123456789", ":4"]),
        (("explain", "dep"), ["deployment/web", ":4"]),
        (("policy", ""), ["keep-dumps", ":4"]),
        (("log", ""), [":0"]),
        (("nowhere", ""), [":4"]),
    ],
)
def test_options_values_and_names_are_completed(
    kubeconfig: Path,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    expected: list[str],
) -> None:
    cluster.stored = {
        "/api/v1/namespaces": [{"metadata": {"name": "shop"}}],
        f"{GROUP}/namespaces/shop/oomincidents": [incident()],
        f"{GROUP}/oomnodes": [{"metadata": {"name": "n1"}}],
        f"{GROUP}/oompolicies": [{"metadata": {"name": "keep-dumps"}}],
    }
    assert complete(kubeconfig, cluster, capsys, *words) == expected


def test_refusal_completes_nothing(
    kubeconfig: Path, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete(kubeconfig, cluster, capsys, "policy", "") == [":4"]
