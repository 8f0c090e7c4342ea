"""Credential plugins, as programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oomkeeper.connection.config import ApiConfig, ExecPlugin
from oomkeeper.connection.credentials import CredentialError, Credentials

V1 = "client.authentication.k8s.io/v1"


@pytest.fixture
def plugin(tmp_path: Path):
    def make(script: str, **fields) -> Credentials:
        path = tmp_path / "plugin"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        made = ExecPlugin(command=str(path), **fields)
        return Credentials(ApiConfig(server="https://a", exec_plugin=made, ca_data=b"the CA"))

    return make


def credential(**status: str) -> str:
    return "echo '" + json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}) + "'"


def test_token_is_used_until_it_expires(plugin, tmp_path: Path) -> None:
    count = f"echo x >> {tmp_path}/runs"
    late = plugin(f"{count}\n{credential(token='t', expirationTimestamp='2999-01-01T00:00:00Z')}")
    assert [late.authorization() for _ in range(3)] == ["Bearer t"] * 3
    assert (tmp_path / "runs").read_text() == "x\n"
    expired = plugin(f"{count}\n{credential(token='t', expirationTimestamp='2001-01-01T00:00:00Z')}")
    assert [expired.authorization() for _ in range(3)] == ["Bearer t"] * 3
    assert (tmp_path / "runs").read_text() == "x\n" * 4


def test_refused_token_is_issued_again(plugin, tmp_path: Path) -> None:
    made = plugin(f"echo x >> {tmp_path}/runs\n{credential(token='t')}")
    made.authorization()
    made.refused()
    made.authorization()
    assert (tmp_path / "runs").read_text() == "x\nx\n"


def test_client_certificate_of_a_plugin_is_used(plugin) -> None:
    made = plugin(credential(clientCertificateData="certificate", clientKeyData="key"))
    assert made.authorization() is None
    assert made.client_certificate() == (b"certificate", b"key")


def test_plugin_gets_its_arguments_environment_and_the_cluster(plugin, tmp_path: Path) -> None:
    made = plugin(
        f'printf "%s|" "$@" "$REGION" > {tmp_path}/seen\n'
        f'printf "%s" "$KUBERNETES_EXEC_INFO" > {tmp_path}/info\n{credential(token="t")}',
        arguments=("get token", "x"),
        environment=(("REGION", "eu"),),
        provide_cluster_info=True,
    )
    made.authorization()
    assert (tmp_path / "seen").read_text() == "get token|x|eu|"
    info = json.loads((tmp_path / "info").read_text())
    assert (info["apiVersion"], info["kind"], info["spec"]["interactive"]) == (V1, "ExecCredential", False)
    assert info["spec"]["cluster"]["server"] == "https://a"
    assert info["spec"]["cluster"]["certificate-authority-data"] == "dGhlIENB"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo cannot log in >&2; exit 3", "exit 3: cannot log in"),
        ("echo nothing", "not a usable ExecCredential"),
        ("echo []", "not a usable ExecCredential"),
        (credential(), "neither a token nor a client certificate"),
        (credential(clientKeyData="key"), "neither a token nor a client certificate"),
        (credential(token="t", expirationTimestamp="soon"), "not a usable ExecCredential"),
        (credential(token="t").replace("/v1", "/v1beta1"), "expected client.authentication.k8s.io/v1 Exec"),
    ],
)
def test_failing_plugin_is_named(plugin, tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(CredentialError) as caught:
        plugin(script).authorization()
    assert str(caught.value).startswith(f"exec plugin {tmp_path}/plugin: ")
    assert said in str(caught.value)


def test_missing_plugin_gives_the_install_hint() -> None:
    plugin = ExecPlugin(command="/none/plugin", install_hint="see example.com")
    credentials = Credentials(ApiConfig(server="https://a", exec_plugin=plugin))
    with pytest.raises(
        CredentialError, match=r"^exec plugin /none/plugin: No such file.*\(see example.com\)$"
    ):
        credentials.authorization()
