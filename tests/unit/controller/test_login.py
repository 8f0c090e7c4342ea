"""Where the controller finds the API server."""

import kopf
import pytest

from oomkeeper.controller.login import connect

IN_A_POD = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="secret")


@pytest.fixture
def in_a_pod(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: IN_A_POD)
    return monkeypatch


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_in_a_pod_the_api_server_is_found_without_the_clusters_dns(
    in_a_pod: pytest.MonkeyPatch, host: str, server: str
) -> None:
    in_a_pod.setenv("KUBERNETES_SERVICE_HOST", host)
    in_a_pod.setenv("KUBERNETES_SERVICE_PORT", "6443")
    found = connect(kubeconfig=None)
    assert (found.server, found.token) == (server, "secret")


def test_without_the_variables_the_name_is_kept(in_a_pod: pytest.MonkeyPatch) -> None:
    in_a_pod.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert connect(kubeconfig=None).server == IN_A_POD.server
