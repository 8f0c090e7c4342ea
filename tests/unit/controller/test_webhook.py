"""The webhook's options, and its requests to a real HTTP server."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from oomkeeper.controller.apiclient import APIError
from oomkeeper.controller.webhook import Webhook, WebhookConfigError, WebhookOptions
from tests.receiver import Receiver, receiver
from tests.unit.connection.certificates import Pair, make_ca, make_leaf

EVENT = {"id": "uid-1", "data": {"summary": "ü"}}


def post(options: WebhookOptions) -> None:
    async def main() -> None:
        webhook = Webhook(options)
        try:
            await webhook.post(EVENT)
        finally:
            await webhook.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://events.example.com", "write a URL"),
        ("events.example.com", "write a URL"),
        ("https://", "write a URL"),
        ("https://x:99999/", "[Pp]ort"),
        ("https://x:0/", "write a URL"),
        ("https://user:secret@x/", "no user or password"),
        ("https://x/\nHost: y", "printable"),
        ("https://x/ y", "write a URL"),
        ("https://x/" + "a" * 3000, "2048"),
    ],
)
def test_unusable_url_is_refused_without_showing_it(url: str, problem: str) -> None:
    with pytest.raises(WebhookConfigError, match=problem) as refused:
        WebhookOptions(url=url).check()
    assert "secret" not in str(refused.value)


def test_token_is_never_sent_unencrypted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    with pytest.raises(WebhookConfigError, match="unencrypted"):
        WebhookOptions(url="http://x/", token_file=tmp_path / "token").check()
    WebhookOptions(url="https://x/", token_file=tmp_path / "token").check()


@pytest.mark.parametrize("token", ["", "\n", "two words", "tab\there", "ü"])
def test_file_without_a_token_is_refused(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    with pytest.raises(WebhookConfigError, match="--webhook-token-file"):
        WebhookOptions(url="https://x/", token_file=tmp_path / "token").check()


def test_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(WebhookConfigError, match="--webhook-ca-file"):
        WebhookOptions(url="https://x/", ca_file=tmp_path / "ca.crt").check()


def test_event_is_sent_as_structured_json() -> None:
    with receiver() as made:
        post(WebhookOptions(url=made.url))
    [request] = made.requests
    assert request.headers["Content-Type"] == "application/cloudevents+json; charset=UTF-8"
    assert "Authorization" not in request.headers
    assert request.event == EVENT


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_status_of_a_refusal_is_an_error(status: int) -> None:
    with receiver() as made:
        made.answers = [(status, {"Retry-After": "7"})]
        with pytest.raises(APIError, match="refused the event") as refused:
            post(WebhookOptions(url=made.url))
    assert (refused.value.status, refused.value.retry_after_seconds) == (status, 7.0)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    with receiver() as other, receiver() as made:
        made.answers = [(status, {"Location": other.url})]
        with pytest.raises(APIError, match="a redirect, which is not followed"):
            post(WebhookOptions(url=made.url))
    assert (len(made.requests), len(other.requests)) == (1, 0)


def test_receiver_that_is_down_is_an_error_without_its_address() -> None:
    with receiver() as made:
        url = made.url + "/secret-path"
    with pytest.raises(APIError) as failed:
        post(WebhookOptions(url=url))
    assert failed.value.status == 0
    assert "secret-path" not in str(failed.value)


def secured(authority: Pair, folder: Path) -> ssl.SSLContext:
    return make_leaf(folder, issuer=authority, name="server").server_context()


def test_receiver_is_verified_with_the_ca_file_and_gets_the_token(tmp_path: Path) -> None:
    authority = make_ca(tmp_path, name="authority")
    (tmp_path / "token").write_text("secret\n")
    with receiver(tls=secured(authority, tmp_path)) as made:
        made_for = WebhookOptions(url=made.url, ca_file=authority.certificate, token_file=tmp_path / "token")
        made_for.check()
        post(made_for)
        assert [one.headers["Authorization"] for one in made.requests] == ["Bearer secret"]
        with pytest.raises(APIError, match=r"CertificateError|CERTIFICATE_VERIFY_FAILED"):
            post(WebhookOptions(url=made.url))
    assert len(made.requests) == 1


def test_renewed_token_and_certificate_are_used_by_the_next_request(tmp_path: Path) -> None:
    old, new = make_ca(tmp_path, name="old"), make_ca(tmp_path, name="new")
    token, trusted = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    trusted.write_bytes(old.certificate.read_bytes())

    async def main(made: Receiver) -> None:
        webhook = Webhook(WebhookOptions(url=made.url, ca_file=trusted, token_file=token))
        with pytest.raises(APIError):
            await webhook.post(EVENT)
        trusted.write_bytes(new.certificate.read_bytes())
        token.write_text("second")
        await webhook.post(EVENT)
        token.unlink()
        with pytest.raises(APIError, match="--webhook-token-file"):
            await webhook.post(EVENT)
        await webhook.close()

    with receiver(tls=secured(new, tmp_path)) as made:
        asyncio.run(main(made))
    assert [one.headers["Authorization"] for one in made.requests] == ["Bearer second"]
