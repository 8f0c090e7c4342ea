"""What a kubeconfig means, and what is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomkeeper.cli.agent import api_config
from oomkeeper.connection.config import ApiConfig, ApiConfigError, ExecPlugin
from oomkeeper.connection.kubeconfig import kubeconfig_files, read_kubeconfig

SERVER = "https://10.0.0.1:6443"
PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws"}


def document(cluster: dict[str, Any], user: dict[str, Any], *, name: str = "c") -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": name, "user": user}],
    }


@pytest.fixture
def read(tmp_path: Path):
    def read(
        cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **environ: str
    ) -> ApiConfig:
        file = tmp_path / "config"
        file.write_text(yaml.safe_dump(document(cluster or {}, user or {})))
        return read_kubeconfig([file], environ=environ)

    return read


def test_every_supported_field_arrives(read, tmp_path: Path) -> None:
    for name in ("ca.crt", "me.crt", "me.key", "token"):
        (tmp_path / name).write_text("x")
    found = read(
        {
            "server": "https://rancher/k8s/clusters/c-1",
            "certificate-authority": "ca.crt",
            "tls-server-name": "kubernetes",
            "proxy-url": "http://proxy:3128",
        },
        {"client-certificate": "me.crt", "client-key": str(tmp_path / "me.key"), "tokenFile": "token"},
    )
    assert found == ApiConfig(
        server="https://rancher/k8s/clusters/c-1",
        ca_file=tmp_path / "ca.crt",
        tls_server_name="kubernetes",
        proxy_url="http://proxy:3128",
        client_cert=tmp_path / "me.crt",
        client_key=tmp_path / "me.key",
        token_file=tmp_path / "token",
    )


def test_data_wins_over_files_and_stays_in_memory(read) -> None:
    found = read(
        {"certificate-authority": "none", "certificate-authority-data": PEM},
        {
            "client-certificate": "none",
            "client-certificate-data": PEM,
            "client-key": "none",
            "client-key-data": PEM,
        },
    )
    assert found.ca_data == found.client_cert_data == found.client_key_data == b"-----BEGIN CERTIFICATE-----"
    assert found.ca_file is found.client_cert is found.client_key is None


def test_certificate_as_data_and_key_as_file_are_joined(read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the key")
    found = read(user={"client-certificate-data": PEM, "client-key": "key"})
    assert (found.client_key, found.client_key_data) == (None, b"the key")


def test_password_is_supported(read) -> None:
    found = read(user={"username": "me", "password": "secret"})
    assert (found.username, found.password) == ("me", "secret")


def test_exec_plugin_is_read(read, tmp_path: Path) -> None:
    found = read(
        user={
            "exec": {
                **EXEC,
                "command": "./plugin",
                "args": ["get-token", "--id", 5],
                "env": [{"name": "REGION", "value": "eu"}],
                "provideClusterInfo": True,
                "interactiveMode": "IfAvailable",
                "installHint": "install it",
            }
        }
    )
    assert found.exec_plugin == ExecPlugin(
        command=f"{tmp_path}/./plugin".replace("/./", "/"),
        arguments=("get-token", "--id", "5"),
        environment=(("REGION", "eu"),),
        provide_cluster_info=True,
        install_hint="install it",
    )


def test_command_without_a_slash_is_looked_up_in_the_path(read) -> None:
    assert read(user={"exec": EXEC}).exec_plugin == ExecPlugin(command="aws")


def test_proxy_of_the_environment_counts_unless_the_cluster_names_one(read) -> None:
    assert read(HTTPS_PROXY="http://p:1").proxy_url == "http://p:1"
    assert read({"proxy-url": "http://q:1"}, HTTPS_PROXY="http://p:1").proxy_url == "http://q:1"
    assert read(HTTPS_PROXY="http://p:1", NO_PROXY="10.0.0.0/8").proxy_url is None


def test_first_of_several_files_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(json.dumps({**document({}, {"token": "1"}), "clusters": []}))
    two.write_text(json.dumps(document({}, {"token": "2"})))
    found = read_kubeconfig(kubeconfig_files(f"{one}::{two}"), environ={})
    assert (found.server, found.token) == (SERVER, "1")


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({"server": "ftp://a"}, {}, "server 'ftp://a': write a URL such as"),
        ({"server": None}, {}, "cluster c: server: is not set"),
        ({"server": 5}, {}, "cluster c: server: write a text in quotes, not 5"),
        ({"insecure-skip-tls-verify": "yes"}, {}, "insecure-skip-tls-verify: write true or false, not 'yes'"),
        ({"certificate-authority-data": "!"}, {}, "certificate-authority-data: is not base64"),
        ({"certificate-authority": "none.crt"}, {}, "none.crt: No such file or directory"),
        ({"proxy-url": "socks5://p:1"}, {}, "proxy 'socks5://p:1': only http://host:port is supported"),
        ({}, {"auth-provider": {"name": "gcp"}}, "user c: auth-provider: was removed from kubectl 1.26"),
        ({}, {"as": "admin"}, "user c: as: impersonation is not supported"),
        ({}, {"as-groups": ["g"]}, "user c: as-groups: impersonation is not supported"),
        ({}, {"tokenFile": "none"}, "none: No such file or directory"),
        ({}, {"client-key-data": PEM}, "client-certificate is missing"),
        ({}, {"exec": {"command": "a"}}, "exec: apiVersion: write one of client.authentication.k8s.io/v1"),
        ({}, {"exec": {**EXEC, "command": ""}}, "exec: command: is not set"),
        (
            {},
            {"exec": {**EXEC, "interactiveMode": "Always"}},
            "Always is not supported: there is no terminal",
        ),
        ({}, {"exec": {**EXEC, "env": ["A=b"]}}, "exec: args, env: write a list"),
        ({}, {"exec": "aws"}, "user c: exec: is not a mapping"),
    ],
)
def test_unsupported_and_wrong_fields_are_named(read, tmp_path: Path, cluster, user, said: str) -> None:
    with pytest.raises(ApiConfigError) as caught:
        read(cluster, user)
    assert str(caught.value).startswith(f"{tmp_path}/config: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not YAML"),
        ("5", "not a kubeconfig"),
        ("{}", "current-context is not set"),
        ("current-context: c", "current-context: 'c' is not defined"),
        ("clusters: 5", "clusters: is not a list"),
        ("users: [5]", "users: each entry needs a name and a user"),
        (
            "{current-context: c, contexts: [{name: c, context: {cluster: k}}]}",
            "context c: cluster: 'k' is not defined",
        ),
    ],
)
def test_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(ApiConfigError) as caught:
        read_kubeconfig([file], environ={})
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ApiConfigError, match=f"^{tmp_path}/none: No such file or directory$"):
        read_kubeconfig([tmp_path / "none"], environ={})


def test_agent_reads_the_same_file_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document({"tls-server-name": "k"}, {"exec": EXEC})))
    found = api_config(file)
    assert (found.tls_server_name, found.proxy_url) == ("k", "http://p:1")
    assert found.exec_plugin is not None
