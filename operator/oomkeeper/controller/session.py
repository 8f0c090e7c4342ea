"""aiohttp sessions to the API server, for kopf's watches and for the controller's own requests.

Credentials are read at each request and certificates at each handshake, so that a session outlives a rotated
token, CA or client certificate.
"""

import asyncio
import socket
from typing import Any

import aiohttp

from oomkeeper.connection.config import ApiConfig
from oomkeeper.connection.credentials import CredentialError, Credentials
from oomkeeper.connection.keepalive import SOCKET_OPTIONS
from oomkeeper.connection.tls import ApiServerContext
from oomkeeper.metrics.counts import code_of
from oomkeeper.model.names import CONTROLLER_MANAGER

from .counts import REQUESTS

MIN_WATCH_INTERVAL_SECONDS = 1.0


def open_session(config: ApiConfig, *, connections: int = 0) -> aiohttp.ClientSession:
    """Return a session for `config`, with at most `connections` at a time (0: any number)."""
    credentials = Credentials(config)
    tls: ApiServerContext | bool = True
    if config.server.startswith("https:"):
        tls = ApiServerContext(config=config, credentials=credentials)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=tls, socket_factory=_socket),
        headers={"User-Agent": CONTROLLER_MANAGER},
        middlewares=(_WatchPace(), _Authorize(credentials), _count),
        proxy=config.proxy_url,
    )


class _WatchPace:
    """Starts the watches of a path at least a second apart: kopf follows one that ended by the next one
    without a pause, even if the server ends each immediately."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.query.get("watch") == "true":
            now = asyncio.get_running_loop().time
            path = request.url.path
            await asyncio.sleep(self._last.get(path, -1.0) + MIN_WATCH_INTERVAL_SECONDS - now())
            self._last[path] = now()
        return await handler(request)


class _Authorize:
    """Adds the Authorization header. After a 401 the request is sent once more if the credential is new."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        sent = await self._authorization()
        _set(request, sent)
        response = await handler(request)
        if response.status != 401:
            return response
        self._credentials.refused()
        renewed = await self._authorization()
        if renewed == sent:
            return response
        response.close()
        _set(request, renewed)
        return await handler(request)

    async def _authorization(self) -> str | None:
        try:
            # In a thread: a credential plugin may take seconds.
            return await asyncio.to_thread(self._credentials.authorization)
        except CredentialError as error:
            raise aiohttp.ClientConnectionError(str(error)) from error


async def _count(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Count the request by its status."""
    try:
        response = await handler(request)
    except Exception:
        REQUESTS.add(code_of(None))
        raise
    REQUESTS.add(code_of(response.status))
    return response


def _set(request: aiohttp.ClientRequest, authorization: str | None) -> None:
    if authorization is not None:
        request.headers["Authorization"] = authorization


def _socket(address: Any) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    for option in SOCKET_OPTIONS:
        made.setsockopt(*option)
    return made
