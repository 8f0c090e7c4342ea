"""The way to the API server when that is not well: faults that a real one cannot be asked for."""

import json
import socket
import threading
from pathlib import Path

import pytest

from oomkeeper.agent.kube import client as client_module
from oomkeeper.agent.kube import watcher as watcher_module
from oomkeeper.agent.kube.client import ApiClient, ApiConfig, ApiError, resource_path
from oomkeeper.agent.kube.watcher import LONGEST_WAIT_SECONDS, Backoff, Watcher

from .kube_server import Exchange, server


def line(kind: str, name: str, version: str) -> bytes:
    meta = {"name": name, "resourceVersion": version}
    return json.dumps({"type": kind, "object": {"metadata": meta}}).encode() + b"\n"


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


def test_no_server_at_all_is_an_error_without_a_status() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert failure(f"http://127.0.0.1:{port}").status is None


def test_a_kept_connection_that_the_server_closed_is_made_again() -> None:
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


def test_a_list_is_fetched_page_by_page() -> None:
    def answer(one: Exchange) -> None:
        if "continue=more" in one.path:
            one.json({"items": [{"n": 2}], "metadata": {"resourceVersion": "9"}})
        else:
            one.json({"items": [{"n": 1}], "metadata": {"resourceVersion": "9", "continue": "more"}})

    with server(answer) as url:
        assert ApiClient(ApiConfig(server=url)).list_items("/x") == ([{"n": 1}, {"n": 2}], "9")


def test_a_renewed_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TOKEN_SECONDS", 0.0)
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
        token.unlink()
        with pytest.raises(ApiError, match="token"):
            api.get("/x")
    assert seen == ["Bearer first", "Bearer second"]


def test_an_apply_names_its_manager_and_takes_fields_over() -> None:
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


class Followed:
    """A watcher against a server whose watches answer one after the other as `watches` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watches: list) -> None:
        monkeypatch.setattr(watcher_module, "FIRST_WAIT_SECONDS", 0.01)
        monkeypatch.setattr(watcher_module, "LONGEST_WAIT_SECONDS", 0.02)
        self.lists = 0
        self.versions: list[str] = []
        self.events: list[tuple[str, str]] = []
        self._watches = iter(watches)
        self.finished = threading.Event()

    def answer(self, one: Exchange) -> None:
        if "watch=1" not in one.path:
            self.lists += 1
            one.json({"items": [], "metadata": {"resourceVersion": f"list-{self.lists}"}})
            return
        self.versions.append(one.path.partition("resourceVersion=")[2].partition("&")[0])
        step = next(self._watches, None)
        if step is None:
            self.finished.set()
            one.raw(b"", length=10**6)
        else:
            step(one)

    def run(self) -> None:
        with server(self.answer) as url:
            watcher = Watcher(
                config=ApiConfig(server=url),
                path="/x",
                query={},
                listed=lambda _items: None,
                changed=lambda kind, obj: self.events.append((kind, obj["metadata"]["name"])),
            )
            watcher.start()
            assert self.finished.wait(20)
            watcher.stop()
            watcher.join(20)
            assert not watcher.is_alive()


def test_a_watch_goes_on_where_it_was_after_a_dropped_connection_and_half_a_line(monkeypatch) -> None:
    half = line("ADDED", "one", "5") + line("MODIFIED", "two", "6")[:20]
    followed = Followed(
        monkeypatch,
        [
            lambda one: one.raw(half, length=10_000),
            lambda one: one.drop(),
            lambda one: one.raw(line("BOOKMARK", "x", "8") + line("DELETED", "one", "7")),
        ],
    )
    followed.run()
    assert followed.events == [("ADDED", "one"), ("DELETED", "one")]
    assert followed.lists == 1
    assert followed.versions == ["list-1", "5", "5", "7"]


@pytest.mark.parametrize(
    "gone",
    [
        lambda one: one.json({"message": "too old"}, status=410),
        lambda one: one.raw(b'{"type":"ERROR","object":{"code":410,"message":"too old"}}\n'),
        lambda one: one.json({"message": "etcd is away"}, status=500),
    ],
    ids=["http", "event", "server error"],
)
def test_a_version_that_the_server_has_forgotten_starts_from_a_list(monkeypatch, gone) -> None:
    followed = Followed(monkeypatch, [gone, lambda one: one.raw(line("ADDED", "one", "5"))])
    followed.run()
    assert followed.versions[:2] == ["list-1", "list-2"]
    assert followed.events == [("ADDED", "one")]


def test_a_storm_of_errors_is_answered_more_and_more_slowly() -> None:
    backoff = Backoff()
    waits = [backoff.next_seconds() for _ in range(12)]
    assert waits[0] < 0.3
    assert waits[3] > waits[0]
    assert LONGEST_WAIT_SECONDS * 0.6 < waits[-1] < LONGEST_WAIT_SECONDS * 1.4
    backoff.reset()
    assert backoff.next_seconds() < 0.3


def test_outside_a_pod_the_service_account_is_missed_in_words(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="--kubeconfig"):
        ApiConfig.in_cluster(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, folder=tmp_path)
    (tmp_path / "token").write_text("t")
    config = ApiConfig.in_cluster(environ={"KUBERNETES_SERVICE_HOST": "fd00::1"}, folder=tmp_path)
    assert config.server == "https://[fd00::1]:443"
