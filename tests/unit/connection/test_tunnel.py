"""An https API server behind an HTTP proxy: both clients verify it through a CONNECT tunnel."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.connection.config import ApiConfig
from oomkeeper.controller.session import open_session
from tests.unit.agent.kube_server import server

from .certificates import make_ca, make_leaf

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")


@contextmanager
def connect_proxy(*, heads: list[str], port: int) -> Iterator[str]:
    """A proxy that records the head of each CONNECT and leads every tunnel to `port`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += near.recv(4096)
        heads.append(head.decode())
        far = socket.create_connection(("127.0.0.1", port))
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=carry, args=(far, near), daemon=True).start()
        carry(near, far)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://me:secret@127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def agent_get(config: ApiConfig) -> object:
    return ApiClient(config).get("/x")


def controller_get(config: ApiConfig) -> object:
    async def get() -> object:
        async with open_session(config) as session, session.get(config.server + "/x") as response:
            return await response.json(content_type=None)

    return asyncio.run(get())


@pytest.mark.parametrize("get", [agent_get, controller_get], ids=["agent", "controller"])
def test_https_goes_through_a_tunnel_of_the_proxy(tmp_path: Path, get: Callable[[ApiConfig], object]) -> None:
    ca = make_ca(tmp_path)
    leaf = make_leaf(tmp_path, issuer=ca, names="DNS:api.invalid,DNS:kubernetes")
    heads: list[str] = []
    with (
        server(lambda one: one.json({"authorization": one.token}), tls=leaf.server_context()) as url,
        connect_proxy(heads=heads, port=int(url.rpartition(":")[2])) as proxy,
    ):
        config = ApiConfig(
            server="https://api.invalid:6443",
            ca_file=ca.certificate,
            proxy_url=proxy,
            token="for the API server only",
        )
        assert get(config) == {"authorization": "Bearer for the API server only"}
    [head] = heads
    assert head.startswith("CONNECT api.invalid:6443 ")
    assert "proxy-authorization: basic bwu6c2vjcmv0" in head.lower()
    assert "for the API server only" not in head
