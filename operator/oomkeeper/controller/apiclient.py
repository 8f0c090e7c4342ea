"""The controller's requests besides kopf's watches: paged lists, server-side apply, delete.

They use aiohttp, which kopf depends on.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from oomkeeper.connection.config import ApiConfig, ApiConfigError
from oomkeeper.connection.retry import retry_after_seconds
from oomkeeper.model.names import CONTROLLER_MANAGER

from .session import open_session

PAGE = 100
"""Objects of one answer. They are in memory at the same time, as text and as objects."""
_CONNECTIONS = 32
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=5)
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_UNANSWERED = (TimeoutError, aiohttp.ClientError, OSError, ValueError)
"""What aiohttp raises without an answer, or json for an answer that is no JSON."""


class APIError(Exception):
    """The API server refused the request, or could not be reached (status 0)."""

    def __init__(self, *, status: int, what: str, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"{what}: {status} {message}" if status else f"{what}: {message}")
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        """The server asked not to be asked again before this many seconds have passed."""


class APIClient:
    """One session. After a 401 the configuration is read again: a kubeconfig may hold another token."""

    def __init__(self, *, find_config: Callable[[], ApiConfig]) -> None:
        """`find_config` may raise ApiConfigError."""
        self._find_config = find_config
        self._config: ApiConfig | None = None
        """Read with the first request."""
        self._sessions: list[aiohttp.ClientSession] = []
        """The last one is in use. Earlier ones may have requests under way."""

    async def close(self) -> None:
        """Close all sessions."""
        for session in self._sessions:
            await session.close()
        self._sessions.clear()
        self._config = None

    async def list(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield every object of a collection, page by page, as of one moment.

        Raises APIError (410: start again).
        """
        async for page in self.pages(path):
            for item in page.get("items") or ():
                yield item

    async def pages(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield a collection's pages as the API server answers them; the last one has the resourceVersion to
        watch from. Raises APIError (410: start again)."""
        wanted = {**(query or {}), "limit": str(PAGE)}
        while True:
            page = await self.request("GET", path, query=wanted)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            wanted["continue"] = token

    async def get(self, path: str) -> Mapping[str, Any] | None:
        """Return the object, None if it does not exist. Raises APIError."""
        try:
            return await self.request("GET", path)
        except APIError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def apply(self, path: str, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        """Apply an object server-side, taking over fields of other managers. Raises APIError."""
        return await self.request(
            "PATCH",
            path,
            body=obj,
            content_type=_APPLY,
            query={"fieldManager": CONTROLLER_MANAGER, "force": "true"},
        )

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Apply a JSON merge patch: fields in it are replaced, whichever manager owns them. Raises
        APIError."""
        return await self.request(
            "PATCH", path, body=patch, content_type=_MERGE, query={"fieldManager": CONTROLLER_MANAGER}
        )

    async def delete(self, path: str, *, uid: str, version: int | None = None) -> bool:
        """Delete exactly this object (in this version); one that is gone already is no error. Return whether
        it was deleted now. Raises APIError."""
        preconditions = {"uid": uid} | ({"resourceVersion": str(version)} if version is not None else {})
        try:
            await self.request("DELETE", path, body={"preconditions": preconditions})
        except APIError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise
            return False
        return True

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Send one request and return the object in the answer. Raises APIError."""
        used = self._current()
        try:
            return await self._request(method, path, body=body, content_type=content_type, query=query)
        except APIError as error:
            # Another request may have read a new configuration while this one was under way.
            if error.status != HTTPStatus.UNAUTHORIZED or not (self._config != used or self._reconfigure()):
                raise
            return await self._request(method, path, body=body, content_type=content_type, query=query)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None,
        content_type: str,
        query: Mapping[str, str] | None,
    ) -> Mapping[str, Any]:
        what = f"{method} {path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data is not None else {}
        try:
            url = self._current().server.rstrip("/") + path
            async with self._sessions[-1].request(
                method, url, data=data, headers=headers, params=query, timeout=_TIMEOUT
            ) as response:
                await _check(response, what)
                answer = json.loads(await response.text())
                return answer if isinstance(answer, dict) else {}
        except _UNANSWERED as error:
            raise APIError(status=0, what=what, message=f"{type(error).__name__}: {error}") from error

    async def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the events of a watch until the server ends it. Raises APIError."""
        what = f"watch {path}"
        try:
            url = self._current().server.rstrip("/") + path
            async with self._sessions[-1].get(url, params=query, timeout=_WATCH_TIMEOUT) as response:
                await _check(response, what)
                async for line in response.content:
                    event = json.loads(line)
                    if isinstance(event, dict):
                        yield event
        except _UNANSWERED as error:
            raise APIError(status=0, what=what, message=f"{type(error).__name__}: {error}") from error

    def _current(self) -> ApiConfig:
        if self._config is None:
            self._reconfigure()
        assert self._config is not None
        return self._config

    def _reconfigure(self) -> bool:
        """Read the configuration again; return whether it is another one. Raises APIError."""
        try:
            config = self._find_config()
        except ApiConfigError as error:
            raise APIError(status=0, what="configuration", message=str(error)) from error
        if config == self._config:
            return False
        self._sessions.append(open_session(config, connections=_CONNECTIONS))
        self._config = config
        return True


async def _check(response: aiohttp.ClientResponse, what: str) -> None:
    """Raise APIError for an answer that is an error."""
    if response.status >= HTTPStatus.BAD_REQUEST:
        raise APIError(
            status=response.status,
            what=what,
            message=_message(await response.text()),
            retry_after_seconds=retry_after_seconds(response.headers.get("Retry-After")),
        )


def _message(text: str) -> str:
    """Return the message of a metav1.Status; a path that is not served answers in plain text."""
    try:
        answer = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:200]
    return str(answer.get("message", "")) if isinstance(answer, dict) else str(answer)
