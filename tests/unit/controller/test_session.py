"""The controller's sessions: credentials, proxies, pace of watches, and its own client on top of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import kopf
import pytest

from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.controller import session as session_module
from oomkeeper.controller.apiclient import APIClient, APIError
from oomkeeper.controller.kopf_settings import LONGEST_RETRY_SECONDS, kopf_settings, log_fewer_attempts
from oomkeeper.controller.login import Login
from oomkeeper.controller.session import MIN_WATCH_INTERVAL_SECONDS, open_session
from tests.unit.agent.kube_server import Exchange, server


def test_renewed_token_file_is_used_without_another_login(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    seen: list[str | None] = []

    def answer(one: Exchange) -> None:
        seen.append(one.token)
        token.write_text("second")
        one.json({}, status=200 if one.token == "Bearer second" else 401)

    async def run(url: str) -> int:
        config = ApiConfig(server=url, token_file=token)
        async with open_session(config) as session, session.patch(url, data=b"{}") as response:
            return response.status

    with server(answer) as url:
        assert asyncio.run(run(url)) == 200
    assert seen == ["Bearer first", "Bearer second"]


def test_unreadable_token_is_a_connection_error_that_kopf_retries(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_session(ApiConfig(server="http://a", token_file=tmp_path / "none")) as session:
            await session.get("http://a/x")

    with pytest.raises(aiohttp.ClientConnectionError, match="token file"):
        asyncio.run(run())


def test_requests_go_through_the_proxy() -> None:
    seen = []

    def proxy(one: Exchange) -> None:
        seen.append((one.path, one.headers.get("Proxy-Authorization")))
        one.json({"from": "proxy"})

    async def run(config: ApiConfig) -> object:
        api = APIClient(find_config=lambda: config)
        try:
            return await api.get("/x")
        finally:
            await api.close()

    with server(proxy) as url:
        config = ApiConfig(server="http://api.invalid/prefix", proxy_url=url.replace("//", "//me:secret@"))
        assert asyncio.run(run(config)) == {"from": "proxy"}
    assert seen == [("http://api.invalid/prefix/x", "Basic bWU6c2VjcmV0")]


def test_watches_of_a_path_start_a_second_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def run(url: str) -> None:
        async with open_session(ApiConfig(server=url)) as session:
            for path in ("/pods?watch=true", "/nodes?watch=true", "/pods", "/pods", "/pods?watch=true"):
                async with session.get(url + path) as response:
                    await response.read()

    monkeypatch.setattr(session_module.asyncio, "sleep", sleep)
    with server(lambda one: one.raw(b"")) as url:
        asyncio.run(run(url))
    assert [pause > 0 for pause in pauses] == [False, False, True]
    assert pauses[-1] <= MIN_WATCH_INTERVAL_SECONDS


def test_401_reads_the_configuration_again_and_other_requests_go_on() -> None:
    tokens = iter(["old", "new", "new"])

    def answer(one: Exchange) -> None:
        good = one.token == "Bearer new"
        one.json({"message": "expired"} if not good else {"ok": True}, status=200 if good else 401)

    async def run(url: str) -> list[object]:
        api = APIClient(find_config=lambda: ApiConfig(server=url, token=next(tokens)))
        try:
            return await asyncio.gather(*(api.get("/x") for _ in range(2)))
        finally:
            await api.close()

    with server(answer) as url:
        assert asyncio.run(run(url)) == [{"ok": True}] * 2


def test_lasting_401_is_an_error_after_one_request() -> None:
    seen = []

    def answer(one: Exchange) -> None:
        seen.append(one.path)
        one.json({"message": "no"}, status=401)

    async def run(url: str) -> None:
        api = APIClient(find_config=lambda: ApiConfig(server=url, token="t"))
        try:
            await api.get("/x")
        finally:
            await api.close()

    with server(answer) as url, pytest.raises(APIError, match="401 no"):
        asyncio.run(run(url))
    assert seen == ["/x"]


def test_retry_after_is_passed_on() -> None:
    async def run(url: str) -> None:
        api = APIClient(find_config=lambda: ApiConfig(server=url))
        try:
            await api.get("/x")
        finally:
            await api.close()

    with (
        server(lambda one: one.raw(b"busy", status=429, headers={"Retry-After": "7"})) as url,
        pytest.raises(APIError) as caught,
    ):
        asyncio.run(run(url))
    assert caught.value.retry_after_seconds == 7


def test_logins_that_follow_each_other_are_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def run() -> None:
        login = Login(config=lambda: ApiConfig(server="http://a"))
        for _ in range(5):
            monkeypatch.setattr("random.uniform", max)
            found = await login()
            await found.aiohttp_session.close()

    monkeypatch.setattr("oomkeeper.controller.login.asyncio.sleep", sleep)
    monkeypatch.setattr("oomkeeper.connection.retry.random.uniform", max)
    asyncio.run(run())
    assert len(pauses) == 4


def test_login_without_a_configuration_is_tried_again() -> None:
    def config() -> ApiConfig:
        raise ApiConfigError("kubeconfig: No such file")

    with pytest.raises(kopf.TemporaryError, match="No such file"):
        asyncio.run(Login(config=config)())


def test_kopf_retries_each_request_without_end_and_soon() -> None:
    delays = kopf_settings().networking.error_backoffs
    for _ in range(2):
        found = [delay for delay, _ in zip(delays, range(3000), strict=False)]  # type: ignore[arg-type]
        assert len(found) == 3000
        assert max(found) <= LONGEST_RETRY_SECONDS
        assert found[0] <= 1


def test_attempts_during_an_outage_are_logged_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    from kopf._cogs.clients import watching

    log_fewer_attempts()
    for number in range(1, 70):
        watching.logger.error(f"Request attempt #{number} failed; will retry: GET /x -> refused")
    watching.logger.error("Request attempt #70/70 failed; escalating: GET /x -> refused")
    numbers = [record.getMessage().split("#")[1].split()[0] for record in caplog.records]
    assert numbers == ["1", "2", "4", "8", "16", "32", "64", "70/70"]
