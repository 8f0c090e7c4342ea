"""Certificates that kubectl accepts are accepted on every version of Python, and others are not."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.tls import check_config
from oomkeeper.controller.session import open_session
from tests.unit.agent.kube_server import Exchange, server

from .certificates import REFUSED_BY_STRICT, SHAPES, Pair, make_ca, make_leaf

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")

Refused = (ApiError, aiohttp.ClientError)


def agent_get(config: ApiConfig) -> object:
    return ApiClient(config).get("/x")


def controller_get(config: ApiConfig) -> object:
    async def get() -> object:
        async with open_session(config) as session, session.get(config.server + "/x") as response:
            return await response.json(content_type=None)

    return asyncio.run(get())


CLIENTS = pytest.mark.parametrize("get", [agent_get, controller_get], ids=["agent", "controller"])
Get = Callable[[ApiConfig], object]


def answer(one: Exchange) -> None:
    one.json({"ok": True})


@pytest.mark.parametrize("shape", SHAPES)
@CLIENTS
def test_certificates_that_kubectl_accepts_are_accepted(tmp_path: Path, shape: str, get: Get) -> None:
    ca_shape, leaf_shape = SHAPES[shape]
    ca = make_ca(tmp_path, shape=ca_shape)
    leaf = make_leaf(tmp_path, issuer=ca, shape=leaf_shape)
    with server(answer, tls=leaf.server_context()) as url:
        assert get(ApiConfig(server=url, ca_file=ca.certificate)) == {"ok": True}
        assert get(ApiConfig(server=url, ca_data=ca.certificate.read_bytes())) == {"ok": True}


@pytest.mark.parametrize("shape", REFUSED_BY_STRICT)
def test_strict_verification_of_python_3_13_refuses_these_shapes(tmp_path: Path, shape: str) -> None:
    ca_shape, leaf_shape = SHAPES[shape]
    ca = make_ca(tmp_path, shape=ca_shape)
    leaf = make_leaf(tmp_path, issuer=ca, shape=leaf_shape)
    strict = ssl.create_default_context(cafile=ca.certificate)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    with server(answer, tls=leaf.server_context()) as url:
        address = "127.0.0.1", int(url.rpartition(":")[2])
        with socket.create_connection(address) as sock, pytest.raises(ssl.SSLCertVerificationError):
            strict.wrap_socket(sock, server_hostname="127.0.0.1")


@CLIENTS
def test_ca_file_may_hold_an_intermediate_ca(tmp_path: Path, get: Get) -> None:
    intermediate = make_ca(tmp_path, name="intermediate", issuer=make_ca(tmp_path))
    leaf = make_leaf(tmp_path, issuer=intermediate)
    with server(answer, tls=leaf.server_context()) as url:
        assert get(ApiConfig(server=url, ca_file=intermediate.certificate)) == {"ok": True}


@CLIENTS
def test_other_authority_and_other_name_are_refused(tmp_path: Path, get: Get) -> None:
    ca, other = make_ca(tmp_path), make_ca(tmp_path, name="other")
    leaf = make_leaf(tmp_path, issuer=ca)
    foreign = make_leaf(tmp_path, issuer=ca, name="foreign", names="DNS:elsewhere")
    with (
        server(answer, tls=leaf.server_context()) as url,
        pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        get(ApiConfig(server=url, ca_file=other.certificate))
    with (
        server(answer, tls=foreign.server_context()) as url,
        pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        get(ApiConfig(server=url, ca_file=ca.certificate))


@CLIENTS
def test_tls_server_name_is_the_name_that_is_verified(tmp_path: Path, get: Get) -> None:
    ca = make_ca(tmp_path)
    leaf = make_leaf(tmp_path, issuer=ca, names="DNS:kubernetes")
    with server(answer, tls=leaf.server_context()) as url:
        config = ApiConfig(server=url, ca_file=ca.certificate, tls_server_name="kubernetes")
        assert get(config) == {"ok": True}


@CLIENTS
def test_insecure_skips_verification(tmp_path: Path, get: Get) -> None:
    leaf = make_leaf(tmp_path, issuer=make_ca(tmp_path), names="DNS:elsewhere")
    with server(answer, tls=leaf.server_context()) as url:
        assert get(ApiConfig(server=url, insecure=True)) == {"ok": True}


def replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def test_agent_picks_up_a_rotated_authority(tmp_path: Path) -> None:
    old, new = make_ca(tmp_path, name="old"), make_ca(tmp_path, name="new")
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(old.certificate.read_bytes())
    leaf = make_leaf(tmp_path, issuer=new)
    with server(answer, tls=leaf.server_context()) as url:
        api = ApiClient(ApiConfig(server=url, ca_file=ca_file))
        with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
            api.get("/x")
        replace(ca_file, new.certificate.read_bytes())
        assert api.get("/x") == {"ok": True}
        replace(ca_file, old.certificate.read_bytes())
        api.close()
        with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
            api.get("/x")


def test_controllers_session_picks_up_a_rotated_authority(tmp_path: Path) -> None:
    old, new = make_ca(tmp_path, name="old"), make_ca(tmp_path, name="new")
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(old.certificate.read_bytes())
    leaf = make_leaf(tmp_path, issuer=new)

    async def run(url: str) -> None:
        async with open_session(ApiConfig(server=url, ca_file=ca_file)) as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(url)
            replace(ca_file, new.certificate.read_bytes())
            async with session.get(url) as response:
                assert response.status == 200

    with server(answer, tls=leaf.server_context()) as url:
        asyncio.run(run(url))


def test_unreadable_authority_leaves_the_former_one_in_use(tmp_path: Path) -> None:
    ca = make_ca(tmp_path)
    leaf = make_leaf(tmp_path, issuer=ca)
    with server(answer, tls=leaf.server_context()) as url:
        api = ApiClient(ApiConfig(server=url, ca_file=ca.certificate))
        assert api.get("/x") == {"ok": True}
        replace(ca.certificate, b"half a certificate")
        api.close()
        assert api.get("/x") == {"ok": True}
        ca.certificate.unlink()
        api.close()
        assert api.get("/x") == {"ok": True}


@CLIENTS
def test_client_certificate_is_presented_from_files_and_from_data(tmp_path: Path, get: Get) -> None:
    ca = make_ca(tmp_path)
    leaf = make_leaf(tmp_path, issuer=ca)
    client = make_leaf(tmp_path, issuer=ca, name="client", names="DNS:client", usage="clientAuth")
    tls = leaf.server_context(client_ca=ca.certificate)
    with server(answer, tls=tls) as url:
        base = {"server": url, "ca_file": ca.certificate}
        with pytest.raises((*Refused, OSError)):
            get(ApiConfig(**base))
        assert get(ApiConfig(**base, client_cert=client.certificate, client_key=client.key)) == {"ok": True}
        data = {
            "client_cert_data": client.certificate.read_bytes(),
            "client_key_data": client.key.read_bytes(),
        }
        assert get(ApiConfig(**base, **data)) == {"ok": True}


def problem(config: ApiConfig) -> str:
    with pytest.raises(ApiConfigError) as caught:
        check_config(config)
    return str(caught.value)


@pytest.fixture
def authority(tmp_path: Path) -> Pair:
    return make_ca(tmp_path)


@pytest.mark.parametrize(
    "server_url",
    [
        "ftp://a",
        "a:6443",
        "https://",
        "https://a:99999",
        "https://a?b",
        "https://me:secret@a",
        "https://[::1",
    ],
)
def test_server_that_is_no_http_url_is_refused(server_url: str) -> None:
    text = problem(ApiConfig(server=server_url))
    assert text.startswith("server ")
    assert "secret" not in text or server_url in text


def test_missing_and_unusable_files_are_named(tmp_path: Path, authority: Pair) -> None:
    missing, garbage = tmp_path / "none.crt", tmp_path / "garbage.crt"
    garbage.write_text("not PEM")
    where = {"server": "https://a"}
    assert problem(ApiConfig(**where, ca_file=missing)) == f"CA file {missing}: No such file or directory"
    assert problem(ApiConfig(**where, ca_file=garbage)).startswith(
        f"CA file {garbage}: not a PEM certificate"
    )
    assert problem(ApiConfig(**where, ca_data=b"x")).startswith("certificate-authority-data: not a PEM")
    assert (
        problem(ApiConfig(**where, token_file=missing)) == f"token file {missing}: No such file or directory"
    )
    assert "client-key is missing" in problem(ApiConfig(**where, client_cert=authority.certificate))
    pair = {"client_cert": authority.certificate, "client_key": garbage}
    assert problem(ApiConfig(**where, **pair)).startswith(f"client certificate {authority.certificate}: ")


def test_encrypted_key_is_refused_without_asking_for_a_password(tmp_path: Path, authority: Pair) -> None:
    encrypted = tmp_path / "encrypted.key"
    os.system(f"openssl ec -in {authority.key} -aes256 -passout pass:secret -out {encrypted} 2>/dev/null")
    config = ApiConfig(server="https://a", client_cert=authority.certificate, client_key=encrypted)
    assert "encrypted" in problem(config)
