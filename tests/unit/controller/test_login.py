"""Where the controller finds the API server."""

import json
from pathlib import Path

import pytest

from oomkeeper.connection.config import ApiConfigError
from oomkeeper.controller.login import find_config


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret")
    return tmp_path


def write(path: Path, server: str) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_pod_finds_the_api_server_without_the_clusters_dns(
    service_account: Path, authority: bytes, host: str, server: str
) -> None:
    (service_account / "ca.crt").write_bytes(authority)
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}
    found = find_config(kubeconfig=None, environ=environ, service_account=service_account)
    assert (found.server, found.token_file) == (server, service_account / "token")


def test_service_account_without_the_address_uses_the_name(service_account: Path, authority: bytes) -> None:
    (service_account / "ca.crt").write_bytes(authority)
    found = find_config(kubeconfig=None, environ={}, service_account=service_account)
    assert found.server == "https://kubernetes.default.svc:443"


def test_missing_ca_of_the_service_account_is_named(service_account: Path) -> None:
    with pytest.raises(ApiConfigError, match=f"^CA file {service_account}/ca.crt: No such file"):
        find_config(kubeconfig=None, environ={}, service_account=service_account)


def test_option_wins_over_the_variable_and_the_variable_over_the_service_account(
    service_account: Path, tmp_path: Path
) -> None:
    option, variable = write(tmp_path / "a", "http://a:1"), write(tmp_path / "b", "http://b:1")
    environ = {"KUBECONFIG": f"{variable}:{option}"}
    for kubeconfig, server in ((option, "http://a:1"), (None, "http://b:1")):
        found = find_config(kubeconfig=kubeconfig, environ=environ, service_account=service_account)
        assert found.server == server


def test_nothing_at_all_is_an_error_that_names_the_ways(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ApiConfigError, match="neither --kubeconfig"):
        find_config(kubeconfig=None, environ={}, service_account=tmp_path / "none")
