"""The reflector against an API server that misbehaves: what it requests next, and after which delay."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oomkeeper.agent.kube import client as client_module
from oomkeeper.agent.kube import reflector as reflector_module
from oomkeeper.agent.kube.client import decode_object
from oomkeeper.agent.kube.reflector import LASTING_SECONDS, WATCH_SECONDS, Reflector
from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.retry import Backoff

from .kube_server import Exchange, server

Step = Callable[[Exchange], None]


def line(kind: str, name: str, version: str) -> bytes:
    meta = {"name": name, "resourceVersion": version}
    return json.dumps({"type": kind, "object": {"metadata": meta}}).encode() + b"\n"


def error_event(code: int, **status: Any) -> bytes:
    return json.dumps({"type": "ERROR", "object": {"code": code, **status}}).encode() + b"\n"


def query(path: str, name: str) -> str:
    return path.partition(f"{name}=")[2].partition("&")[0]


class VirtualTime(Reflector[dict[str, Any]]):
    """A reflector whose delays pass immediately and are recorded."""

    def __init__(self, **arguments: Any) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.works: list[bool] = []
        super().__init__(clock=lambda: self.now, backoff=Backoff(uniform=max), **arguments)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.now += seconds
            self.waits.append(seconds)


class Followed:
    """A reflector against a server whose watches (and lists) answer one after the other as given."""

    def __init__(self, watches: list[Step], *, lists: list[Step] | None = None) -> None:
        self.list_versions: list[str] = []
        self.watch_versions: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.paths: list[str] = []
        self._watches, self._lists = iter(watches), iter(lists or [])
        self._finished = threading.Event()
        self.reflector: VirtualTime

    def answer(self, one: Exchange) -> None:
        self.paths.append(one.path)
        version = query(one.path, "resourceVersion")
        if "watch=1" not in one.path:
            self.list_versions.append(version)
            step = next(self._lists, None)
            if step is not None:
                step(one)
            else:
                listed = {"resourceVersion": str(10 * len(self.list_versions))}
                one.json({"items": [], "metadata": listed})
            return
        self.watch_versions.append(version)
        step = next(self._watches, None)
        if step is not None:
            step(one)
            return
        self._finished.set()
        one.start(length=10**6)
        one.wait_until_closed()

    def run(self) -> None:
        with server(self.answer) as url:
            self.reflector = VirtualTime(
                config=ApiConfig(server=url),
                path="/x",
                query={},
                decode=decode_object,
                listed=lambda _items: None,
                changed=lambda kind, obj: self.events.append((kind, obj["metadata"]["name"])),
            )
            self.reflector.start()
            assert self._finished.wait(20)
            self.reflector.stop()
            assert self.reflector.join(20)


def followed(*watches: Step, lists: list[Step] | None = None) -> Followed:
    run = Followed(list(watches), lists=lists)
    run.run()
    return run


def status(code: int, **headers: str) -> Step:
    return lambda one: one.raw(
        b'{"message": "no"}',
        status=code,
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


def test_first_list_is_from_the_cache_and_the_watch_continues_from_it() -> None:
    run = followed()
    assert (run.list_versions, run.watch_versions) == (["0"], ["10"])
    watch = run.paths[-1]
    assert query(watch, "allowWatchBookmarks") == "true"
    assert WATCH_SECONDS[0] <= int(query(watch, "timeoutSeconds")) <= WATCH_SECONDS[1]


def test_watch_continues_after_a_lost_connection_and_half_a_line() -> None:
    half = line("ADDED", "one", "15") + line("MODIFIED", "two", "16")[:20]
    run = followed(
        lambda one: one.raw(half, length=10_000),
        lambda one: one.drop(),
        lambda one: one.raw(line("BOOKMARK", "x", "18") + line("DELETED", "one", "17")),
    )
    assert run.events == [("ADDED", "one"), ("DELETED", "one")]
    assert run.list_versions == ["0"]
    assert run.watch_versions == ["10", "15", "15", "17"]


def test_half_an_event_at_a_regular_end_is_not_handled() -> None:
    run = followed(lambda one: one.raw(line("ADDED", "one", "15") + line("ADDED", "two", "16")[:-9]))
    assert run.events == [("ADDED", "one")]
    assert run.watch_versions == ["10", "15"]


@pytest.mark.parametrize("code", [429, 500, 503, 504])
def test_overloaded_server_is_not_asked_for_a_list(code: int) -> None:
    run = followed(*[status(code)] * 4)
    assert run.list_versions == ["0"]
    assert run.watch_versions == ["10"] * 5
    assert run.reflector.waits == [1, 2, 4, 8]


def test_error_event_other_than_gone_keeps_the_version() -> None:
    run = followed(
        lambda one: one.raw(error_event(500, message="etcd is away", details={"retryAfterSeconds": 9}))
    )
    assert run.list_versions == ["0"]
    assert run.reflector.waits == [9 + 1]


@pytest.mark.parametrize("gone", [status(410), lambda one: one.raw(error_event(410))], ids=["http", "event"])
def test_compacted_version_needs_a_list_at_least_as_new(gone: Step) -> None:
    run = followed(gone, lambda one: one.raw(line("ADDED", "one", "25")))
    assert run.list_versions == ["0", "10"]
    assert run.watch_versions[:2] == ["10", "20"]
    assert run.events == [("ADDED", "one")]


@pytest.mark.parametrize(
    "refused",
    [
        status(410),
        lambda one: one.json({"message": "Too large resource version: 10, current: 4"}, status=504),
    ],
    ids=["gone", "ahead of the server"],
)
def test_newest_state_is_read_only_if_the_server_has_no_version_as_new(refused: Step) -> None:
    listed: Step = lambda one: one.json({"items": [], "metadata": {"resourceVersion": "10"}})  # noqa: E731
    run = followed(status(410), lists=[listed, refused])
    assert run.list_versions == ["0", "10", ""]


def test_retry_after_of_the_server_is_honoured() -> None:
    run = followed(status(429, Retry_After="10"), status(429, Retry_After="10"))
    assert run.reflector.waits == [10 + 1, 10 + 2]


def test_failed_list_waits_as_well() -> None:
    run = followed(lists=[status(429, Retry_After="5"), status(503)])
    assert run.list_versions == ["0", "0", "0"]
    assert run.reflector.waits == [5 + 1, 2]


def test_watches_that_end_immediately_are_retried_ever_more_rarely() -> None:
    run = followed(*[lambda one: one.raw(b"")] * 6)
    assert run.reflector.waits == [1, 2, 4, 8, 16, 30]
    assert run.list_versions == ["0"]


def test_watches_start_at_least_a_second_apart() -> None:
    run = followed(*[lambda one, n=n: one.raw(line("ADDED", f"pod-{n}", str(20 + n))) for n in range(5)])
    assert len(run.events) == 5
    assert run.reflector.waits == [1] * 5


def test_delivered_event_resets_the_delay() -> None:
    run = followed(status(500), status(500), lambda one: one.raw(line("BOOKMARK", "x", "15")), status(500))
    assert run.reflector.waits == [1, 2, 1, 1]


def test_watch_that_lasted_without_an_event_worked() -> None:
    def lasting(one: Exchange) -> None:
        run.reflector.now += LASTING_SECONDS
        one.raw(b"")

    run = Followed([status(500), status(500), lasting, status(500)])
    run.run()
    assert run.reflector.waits == [1, 2, 1]


class Log:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def info(self, message: str, **_fields: object) -> None:
        self.messages.append(message)

    warning = info


def test_recovery_is_logged_after_the_first_event_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(reflector_module, "log", log)
    seen: list[list[str]] = []

    def note(step: Step) -> Step:
        def answer(one: Exchange) -> None:
            seen.append(list(log.messages))
            step(one)

        return answer

    followed(
        note(status(500)),
        note(lambda one: one.raw(b"")),
        note(lambda one: one.raw(line("BOOKMARK", "x", "15"))),
        note(lambda one: one.raw(line("BOOKMARK", "x", "16"))),
    )
    assert seen == [
        [],
        ["watch failed"],
        ["watch failed", "watch failed"],
        ["watch failed", "watch failed", "watch works again"],
    ]


def test_silent_watch_is_given_up_and_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "WATCH_SILENCE_SECONDS", 0.2)

    def silent(one: Exchange) -> None:
        one.start(length=10**6)
        one.send(line("ADDED", "one", "15"))
        one.wait_until_closed()

    def silent_from_the_start(one: Exchange) -> None:
        one.start(length=10**6)
        one.wait_until_closed()

    run = followed(silent, silent_from_the_start, silent_from_the_start)
    assert run.events == [("ADDED", "one")]
    assert run.watch_versions == ["10", "15", "15", "15"]
    assert run.reflector.waits == [1, 1, 1], (
        "a quiet watch is no failure: an idle API server sends no bookmarks"
    )


def test_watch_without_an_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "WATCH_SILENCE_SECONDS", 0.2)
    run = followed(*[lambda one: one.wait_until_closed()] * 3)
    # On a busy machine the last watch, which answers, is silent for so long as well.
    assert run.reflector.waits[:3] == [1, 2, 4]
    assert run.list_versions == ["0"]


def test_unknown_event_types_are_passed_over() -> None:
    run = followed(lambda one: one.raw(line("FUTURE", "x", "15") + line("ADDED", "one", "16")))
    assert run.events == [("ADDED", "one")]
