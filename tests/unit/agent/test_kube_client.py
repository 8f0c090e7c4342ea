"""Requests to an API server that misbehaves in ways that a real one cannot be asked for."""

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from oomkeeper.agent.kube import transport as transport_module
from oomkeeper.agent.kube.client import ApiClient, decode_object, resource_path
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.connection.config import ApiConfig, ExecPlugin

from .kube_server import Exchange, server


def failure(url: str) -> ApiError:
    api = ApiClient(ApiConfig(server=url))
    with pytest.raises(ApiError) as caught:
        api.get("/x")
    return caught.value


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (lambda one: one.json({"message": "forbidden: no rights"}, status=403), 403, "forbidden: no rights"),
        (lambda one: one.raw(b"<html>bad gateway", status=502), 502, "bad gateway"),
        (lambda one: one.raw(b"", status=302), 302, "302"),
        (lambda one: one.raw(b"<html>a login page"), None, "not JSON"),
        (lambda one: one.raw(b'["a list"]'), None, "not a JSON object"),
        (lambda one: one.raw(b'{"a": 1', length=500), None, "IncompleteRead"),
        (lambda one: one.drop(), None, "/x"),
    ],
)
def test_every_wrong_answer_is_one_error_that_says_what_came(answer, status, said) -> None:
    with server(answer) as url:
        error = failure(url)
    assert error.status == status
    assert said in str(error)


def test_unreachable_server_is_an_error_without_a_status() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}")
    assert error.status is None
    assert "refused" in str(error)


def test_retry_after_is_read_from_the_header_and_from_the_status() -> None:
    with server(lambda one: one.raw(b"busy", status=429, headers={"Retry-After": "7"})) as url:
        assert failure(url).retry_after_seconds == 7
    with server(lambda one: one.json({"details": {"retryAfterSeconds": 3}}, status=429)) as url:
        assert failure(url).retry_after_seconds == 3


def test_closed_kept_connection_is_replaced() -> None:
    seen: list[str] = []

    def answer(one: Exchange) -> None:
        seen.append(one.path)
        if len(seen) == 2:
            one.drop()
        else:
            one.json({"ok": len(seen)})

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url))
        assert api.get("/a") == {"ok": 1}
        assert api.get("/b") == {"ok": 3}
    assert seen == ["/a", "/b", "/b"]


def test_connections_are_kept_between_requests() -> None:
    ports = set()

    def answer(one: Exchange) -> None:
        ports.add(one.port)
        one.json({"items": [], "metadata": {"resourceVersion": "1"}})

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url))
        for _ in range(3):
            api.get("/x")
            api.list_items("/x", decode=decode_object, resource_version="0")
    assert len(ports) == 1


def test_path_of_the_server_url_is_a_prefix() -> None:
    seen = []

    def answer(one: Exchange) -> None:
        seen.append(one.path)
        one.json({})

    with server(answer) as url:
        ApiClient(ApiConfig(server=f"{url}/k8s/clusters/c-1/")).get("/api/v1/nodes/n")
    assert seen == ["/k8s/clusters/c-1/api/v1/nodes/n"]


def test_requests_go_through_the_proxy_of_the_configuration() -> None:
    seen: list[tuple[str, str | None]] = []

    def proxy(one: Exchange) -> None:
        seen.append((one.path, one.headers.get("Proxy-Authorization")))
        one.json({"from": "proxy"})

    with server(proxy) as url:
        config = ApiConfig(server="http://api.invalid:6443", proxy_url=url.replace("//", "//me:secret@"))
        assert ApiClient(config).get("/x") == {"from": "proxy"}
    assert seen == [("http://api.invalid:6443/x", "Basic bWU6c2VjcmV0")]


@pytest.mark.parametrize("known", ["0", "41"])
def test_list_asks_for_a_state_from_the_cache(known: str) -> None:
    seen = []

    def answer(one: Exchange) -> None:
        seen.append(one.path)
        one.json({"metadata": {"resourceVersion": "42"}, "items": [{"n": 1}, {"n": 2}]})

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url))
        found = api.list_items("/x", decode=decode_object, resource_version=known, fieldSelector="a=b")
    assert found == ([{"n": 1}, {"n": 2}], "42")
    assert seen == [f"/x?fieldSelector=a%3Db&resourceVersion={known}"]


def test_items_are_decoded_while_the_list_arrives() -> None:
    first_decoded = threading.Event()

    def decode(data: bytes) -> bytes:
        first_decoded.set()
        return data

    def answer(one: Exchange) -> None:
        one.start(length=10_000)
        one.send(b'{"items":[{"n":1},')
        assert first_decoded.wait(10), "the first item was not decoded before the second arrived"
        one.send(b'{"n":2}],"metadata":{"resourceVersion":"5"}}'.ljust(10_000 - 18))

    with server(answer) as url:
        found = ApiClient(ApiConfig(server=url)).list_items("/x", decode=decode, resource_version="0")
    assert found == ([b'{"n":1}', b'{"n":2}'], "5")


def test_memory_of_a_list_does_not_grow_with_the_size_of_its_pods() -> None:
    pod = json.dumps(
        {
            "metadata": {
                "name": "p",
                "uid": "u",
                "managedFields": [{"fieldsV1": {f"f:{n}": {} for n in range(900)}}],
            },
            "spec": {"containers": [{"name": f"c{n}", "image": "x" * 200} for n in range(40)]},
        }
    ).encode()
    number = 150
    body_bytes = len(b'{"items":[]}') + number * len(pod) + number - 1
    assert body_bytes > 3_000_000

    def answer(one: Exchange) -> None:
        one.start(length=body_bytes)
        one.send(b'{"items":[' + pod)
        for _ in range(number - 1):
            one.send(b"," + pod)
        one.send(b"]}")

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url))
        tracemalloc.start()
        try:
            names, _ = api.list_items(
                "/x", decode=lambda data: decode_object(data)["metadata"]["name"], resource_version="0"
            )
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(names) == number
    assert peak_bytes < 1 << 20


@pytest.mark.parametrize(
    "answer",
    [
        lambda one: one.raw(b'{"items":[{"n":1},', length=500),
        lambda one: one.raw(b'{"items":[{"n":1},'),
        lambda one: one.raw(b"<html>"),
    ],
)
def test_cut_off_list_is_an_error(answer) -> None:
    with server(answer) as url, pytest.raises(ApiError):
        ApiClient(ApiConfig(server=url)).list_items("/x", decode=decode_object, resource_version="0")


@pytest.mark.parametrize(
    ("start", "read"),
    [
        (b'{"a":"', lambda client: client.get("/x")),
        (
            b'{"items":[{"a":"',
            lambda client: client.list_items("/x", decode=decode_object, resource_version="0"),
        ),
        (
            b'{"metadata":{"a":"',
            lambda client: client.list_items("/x", decode=decode_object, resource_version="0"),
        ),
        (
            b'{"type":"ADDED","object":{"a":"',
            lambda client: list(client.watch("/x", resource_version="1", timeout_seconds=5)),
        ),
    ],
    ids=["object", "item", "list without its items", "watch event"],
)
def test_object_without_an_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, start: bytes, read: Callable[[ApiClient], object]
) -> None:
    monkeypatch.setattr(transport_module, "MAX_OBJECT_BYTES", 100_000)

    def answer(one: Exchange) -> None:
        one.start(length=1 << 30)
        one.send(start)
        with suppress(OSError):
            for _ in range(1000):
                one.send(b"x" * 10_000)

    with server(answer) as url, pytest.raises(ApiError, match="an object of more than 100000 bytes"):
        read(ApiClient(ApiConfig(server=url)))


def test_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "ANSWER_SECONDS", 0.3)

    def answer(one: Exchange) -> None:
        one.start(length=1000)
        for _ in range(200):
            one.send(b" ")
            time.sleep(0.02)

    with server(answer) as url:
        started = time.monotonic()
        assert "not complete" in str(failure(url))
    assert time.monotonic() - started < 3


def test_changed_token_file_is_used_by_the_next_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    seen: list[str | None] = []

    def answer(one: Exchange) -> None:
        seen.append(one.token)
        one.json({})

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url, token_file=token))
        api.get("/x")
        token.write_text("second\n")
        api.get("/x")
        token.write_text("two\nlines")
        with pytest.raises(ApiError, match="not one line of ASCII text"):
            api.get("/x")
        token.unlink()
        with pytest.raises(ApiError, match="token"):
            api.get("/x")
    assert seen == ["Bearer first", "Bearer second"]


def test_plugin_issues_a_new_token_after_a_401(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        f"echo x >> {tmp_path}/runs\n"
        f"n=$(wc -l < {tmp_path}/runs)\n"
        'echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",'
        '\\"status\\":{\\"token\\":\\"token-$n\\"}}"\n'
    )
    plugin.chmod(0o755)
    seen: list[str | None] = []

    def answer(one: Exchange) -> None:
        seen.append(one.token)
        one.json(
            {"message": "expired"} if one.token == "Bearer token-1" else {},
            status=401 if one.token == "Bearer token-1" else 200,
        )

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url, exec_plugin=ExecPlugin(command=str(plugin))))
        api.get("/x")
        api.get("/x")
    assert seen == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]


def test_401_with_an_unchanged_token_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    seen = []

    def answer(one: Exchange) -> None:
        seen.append(one.path)
        one.json({"message": "Unauthorized"}, status=401)

    with server(answer) as url, pytest.raises(ApiError, match="401 Unauthorized"):
        ApiClient(ApiConfig(server=url, token_file=tmp_path / "token")).get("/x")
    assert seen == ["/x"]


def test_apply_names_its_manager_and_takes_over_fields() -> None:
    seen: list[Exchange] = []

    def answer(one: Exchange) -> None:
        seen.append(one)
        one.json({})

    with server(answer) as url:
        ApiClient(ApiConfig(server=url)).apply("/x", {"a": 1}, manager="me")
    [one] = seen
    assert (one.method, one.body) == ("PATCH", {"a": 1})
    for part in ("fieldManager=me", "force=true", "fieldValidation=Strict"):
        assert part in one.path


def test_names_are_quoted_into_paths() -> None:
    path = resource_path("oomincidents", namespace="a/b", name="c?d", status=True)
    assert path == "/apis/oomkeeper.dev/v1alpha1/namespaces/a%2Fb/oomincidents/c%3Fd/status"


def test_dead_peers_are_detected_within_a_minute() -> None:
    ports: list[int] = []

    def answer(one: Exchange) -> None:
        ports.append(one.port)
        one.json({})

    with server(answer) as url:
        api = ApiClient(ApiConfig(server=url))
        api.get("/x")
        connection = api._transport._pool.pool.get_nowait()
        sock = connection.sock
        assert sock.getsockname()[1] == ports[0]

        def option(name: int) -> int:
            return sock.getsockopt(socket.IPPROTO_TCP, name)

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        probes_seconds = option(socket.TCP_KEEPINTVL) * option(socket.TCP_KEEPCNT)
        assert option(socket.TCP_KEEPIDLE) + probes_seconds <= 60
        assert 0 < option(socket.TCP_USER_TIMEOUT) <= 60_000
        connection.close()
