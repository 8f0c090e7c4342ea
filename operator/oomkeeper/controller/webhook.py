"""POST to the one webhook that the administrator has configured.

The address comes from the command line alone, never from an object in the cluster. Redirects are not
followed: the receiver must not choose where the controller sends a token or a request. What the receiver
answers is only looked at for its status.
"""

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from oomkeeper.connection.proxies import check_proxy, proxy_from_environment
from oomkeeper.connection.retry import retry_after_seconds
from oomkeeper.kernel.bounded_read import read_bytes
from oomkeeper.model.names import CONTROLLER_MANAGER

from .apiclient import APIError
from .cloud_event import CONTENT_TYPE

PARALLEL = 4
"""Requests under way at the same time."""
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
_UNANSWERED = (TimeoutError, aiohttp.ClientError, OSError, ValueError)
_URL_LENGTH = 2048


class WebhookConfigError(Exception):
    """The options of the webhook cannot be used. The message says what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """Where CloudEvents are sent."""

    url: str
    cluster: str = "/"
    """URI reference that the sources of the events begin with."""
    token_file: Path | None = None
    """Bearer token, read for each request."""
    ca_file: Path | None = None
    """CA certificates in PEM, instead of the system's."""
    max_age_seconds: float = 24 * 3600.0
    """Age of a kill up to which it is sent."""

    def check(self) -> None:
        """Raises WebhookConfigError."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise WebhookConfigError(f"--webhook-url: {error}") from error
        if len(self.url) > _URL_LENGTH or not self.url.isascii() or not self.url.isprintable():
            raise WebhookConfigError(f"--webhook-url: write at most {_URL_LENGTH} printable ASCII characters")
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or " " in self.url:
            raise WebhookConfigError("--webhook-url: write a URL such as https://events.example.com/oom")
        if parts.username is not None or parts.password is not None:
            raise WebhookConfigError(
                "--webhook-url: write no user or password into it; use --webhook-token-file"
            )
        if self.token_file is not None and parts.scheme != "https":
            raise WebhookConfigError(
                "--webhook-token-file: the token would be sent unencrypted; use an https URL"
            )
        if not self.cluster.isascii() or not self.cluster.isprintable() or " " in self.cluster:
            raise WebhookConfigError(
                "--webhook-source: write a URI reference, such as https://prod.example.com"
            )
        self.authorization()
        self.certificates()
        self.proxy()

    def authorization(self) -> str | None:
        """Return the Authorization header. Raises WebhookConfigError."""
        if self.token_file is None:
            return None
        try:
            token = read_bytes(self.token_file).decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise WebhookConfigError(f"--webhook-token-file {self.token_file}: {error}") from error
        if not token or not token.isprintable() or " " in token:
            raise WebhookConfigError(f"--webhook-token-file {self.token_file}: holds no token")
        return f"Bearer {token}"

    def certificates(self) -> str | None:
        """Return the CA certificates in PEM, None for the system's. Raises WebhookConfigError."""
        if self.ca_file is None:
            return None
        try:
            text = read_bytes(self.ca_file).decode("ascii")
            ssl.create_default_context(cadata=text)
        except (OSError, ValueError) as error:
            raise WebhookConfigError(f"--webhook-ca-file {self.ca_file}: {error}") from error
        if "BEGIN CERTIFICATE" not in text:
            raise WebhookConfigError(f"--webhook-ca-file {self.ca_file}: holds no certificate in PEM")
        return text

    def proxy(self) -> str | None:
        """Return the proxy for the URL. Raises WebhookConfigError."""
        proxy = proxy_from_environment(self.url, environ=os.environ)
        try:
            if proxy is not None:
                check_proxy(proxy)
        except ValueError as error:
            raise WebhookConfigError(str(error)) from error
        return proxy


class Webhook:
    """One session, made anew when the CA file has changed."""

    def __init__(self, options: WebhookOptions) -> None:
        """Raises WebhookConfigError."""
        self._options = options
        self._proxy = options.proxy()
        self._sessions: list[aiohttp.ClientSession] = []
        """The last one is in use. Earlier ones may have requests under way."""
        self._certificates: str | None = None

    @property
    def cluster(self) -> str:
        """URI reference that the sources of the events begin with."""
        return self._options.cluster

    @property
    def max_age_seconds(self) -> float:
        """Age of a kill up to which it is sent."""
        return self._options.max_age_seconds

    async def close(self) -> None:
        """Close all sessions."""
        for session in self._sessions:
            await session.close()
        self._sessions.clear()

    async def post(self, event: Mapping[str, Any]) -> None:
        """Send one event. Raises APIError unless the receiver accepts it with a status of 2xx."""
        what = f"POST event {event['id']} to the webhook"
        try:
            authorization, certificates = await asyncio.to_thread(self._read_files)
        except WebhookConfigError as error:
            raise APIError(status=0, what=what, message=str(error)) from error
        headers = {"Content-Type": CONTENT_TYPE}
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            async with self._session(certificates).post(
                self._options.url,
                data=json.dumps(event, ensure_ascii=False).encode(),
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=_TIMEOUT,
            ) as response:
                status = response.status
                retry_after = retry_after_seconds(response.headers.get("Retry-After"))
        except _UNANSWERED as error:
            raise APIError(status=0, what=what, message=_described(error)) from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
            message = "a redirect, which is not followed" if redirect else "the receiver refused the event"
            raise APIError(status=status, what=what, message=message, retry_after_seconds=retry_after)

    def _read_files(self) -> tuple[str | None, str | None]:
        return self._options.authorization(), self._options.certificates()

    def _session(self, certificates: str | None) -> aiohttp.ClientSession:
        if not self._sessions or certificates != self._certificates:
            self._certificates = certificates
            connector = aiohttp.TCPConnector(
                limit=PARALLEL, ssl=ssl.create_default_context(cadata=certificates)
            )
            self._sessions.append(
                aiohttp.ClientSession(
                    connector=connector,
                    headers={"User-Agent": CONTROLLER_MANAGER},
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
            )
        return self._sessions[-1]


def _described(error: BaseException) -> str:
    """Return what went wrong, without the URL: its path may be a secret."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{type(error).__name__}: {error.os_error}"
    return type(error).__name__
