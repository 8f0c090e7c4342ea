"""What the controller asks of the API server beyond kopf's watches: paged lists, server-side apply, delete.

On aiohttp, which kopf brings, with the credentials that kopf's login functions find.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import kopf

from oomkeeper.connection.retry import retry_after_seconds
from oomkeeper.model.names import CONTROLLER_MANAGER

PAGE = 500
_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"


class APIError(Exception):
    """The API server said no, or could not be asked (status 0)."""

    def __init__(self, *, status: int, what: str, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"{what}: {status} {message}" if status else f"{what}: {message}")
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        """The server asked not to be asked again before this many seconds have passed."""


class APIClient:
    """One session. A 401 makes it ask `login` for fresh credentials once: service account tokens rotate."""

    def __init__(self, *, login: Callable[[], kopf.ConnectionInfo]) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None
        self._server = ""

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def list(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
        """Every object of a collection, page by page, as of one moment. Raises APIError (410: start over)."""
        query = {"limit": str(PAGE)}
        while True:
            page = await self.request("GET", path, query=query)
            for item in page.get("items") or ():
                yield item
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def get(self, path: str) -> Mapping[str, Any] | None:
        """The object, None where there is none."""
        try:
            return await self.request("GET", path)
        except APIError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def apply(self, path: str, obj: Mapping[str, Any]) -> Mapping[str, Any]:
        """Server-side apply as the controller's field manager; fields that others hold are taken over."""
        return await self.request(
            "PATCH",
            path,
            body=obj,
            content_type=_APPLY,
            query={"fieldManager": CONTROLLER_MANAGER, "force": "true"},
        )

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        """JSON merge patch: what it names is replaced, whoever holds it."""
        return await self.request(
            "PATCH", path, body=patch, content_type=_MERGE, query={"fieldManager": CONTROLLER_MANAGER}
        )

    async def delete(self, path: str, *, uid: str, version: int | None = None) -> None:
        """Delete exactly this object (and this state of it); one that is gone already is no error."""
        preconditions = {"uid": uid} | ({"resourceVersion": str(version)} if version is not None else {})
        try:
            await self.request("DELETE", path, body={"preconditions": preconditions})
        except APIError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """One request. Raises APIError."""
        try:
            return await self._request(method, path, body=body, content_type=content_type, query=query)
        except APIError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
            await self.close()
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
            session = self._open()
            async with session.request(
                method, self._server + path, data=data, headers=headers, params=query, timeout=_TIMEOUT
            ) as response:
                text = await response.text()
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise APIError(
                        status=response.status,
                        what=what,
                        message=_message(text),
                        retry_after_seconds=retry_after_seconds(response.headers.get("Retry-After")),
                    )
                answer = json.loads(text)
                return answer if isinstance(answer, dict) else {}
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, kopf.LoginError) as error:
            raise APIError(status=0, what=what, message=f"{type(error).__name__}: {error}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            info = self._login()
            self._server = info.server.rstrip("/")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32, ssl=info.as_ssl_context()),
                headers={**info.as_http_headers(), "User-Agent": CONTROLLER_MANAGER},
                auth=info.as_aiohttp_basic_auth(),
                proxy=info.proxy_url,
                trust_env=bool(info.trust_env),
            )
        return self._session


def _message(text: str) -> str:
    """Of a metav1.Status; a path that is not served at all answers in plain text."""
    try:
        answer = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:200]
    return str(answer.get("message", "")) if isinstance(answer, dict) else str(answer)
