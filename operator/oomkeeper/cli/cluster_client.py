"""An API client for people: it also creates, patches and deletes, and reads texts and whole pages."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, TypeVar

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.agent.kube.transport import chunks
from oomkeeper.model.names import CLI_MANAGER

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
_ATTEMPTS = 4
_MOST_WAIT_SECONDS = 5.0
_PART_BYTES = 256 * 1024
_T = TypeVar("_T")


class ClusterClient(ApiClient):
    """Objects are created under a name that the caller chose, so a request that is sent twice makes one. A
    busy server is asked again, as client-go does."""

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return one object. Raises ApiError."""
        return _patiently(lambda: super(ClusterClient, self).get(path, **query))

    def list_items(
        self, path: str, *, decode: Callable[[bytes], _T], resource_version: str, **query: str
    ) -> tuple[list[_T], str]:
        """Return all items of a list, each decoded, and the list's resourceVersion. Raises ApiError."""
        return _patiently(
            lambda: super(ClusterClient, self).list_items(
                path, decode=decode, resource_version=resource_version, **query
            )
        )

    def create(self, path: str, obj: dict[str, Any], **query: str) -> dict[str, Any]:
        """Create an object in the collection at `path`. Raises ApiError."""
        return self._write("POST", path, obj, content_type="application/json", **query)

    def replace(self, path: str, obj: dict[str, Any], **query: str) -> dict[str, Any]:
        """Replace an object. Raises ApiError, with status 409 where its resourceVersion is not the
        newest."""
        return self._write("PUT", path, obj, content_type="application/json", **query)

    def merge(self, path: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Apply a JSON merge patch. Raises ApiError."""
        return self._write("PATCH", path, patch, content_type=MERGE)

    def json_patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """Apply a JSON patch. Raises ApiError, with status 422 where a `test` in it fails."""
        return self._write("PATCH", path, operations, content_type="application/json-patch+json")

    def patch(
        self, path: str, body: dict[str, Any], *, kind: str = STRATEGIC, dry_run: bool = False
    ) -> dict[str, Any]:
        """Patch an object; with `dry_run` the server only checks the result. Raises ApiError."""
        query = {"dryRun": "All"} if dry_run else {}
        return self._write("PATCH", path, body, content_type=kind, fieldValidation="Strict", **query)

    def _write(self, method: str, path: str, body: Any, *, content_type: str, **query: str) -> dict[str, Any]:
        query = {"fieldManager": CLI_MANAGER, **query}
        return self._object(method, path, query=query, body=body, content_type=content_type)

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object; `options` are those of metav1.DeleteOptions. Raises ApiError."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        self._object("DELETE", path, query={}, body=body, content_type="application/json")

    def parts(self, path: str, **query: str) -> Iterator[bytes]:
        """Yield the answer with a list as it arrives, in parts that are worth decoding. The server is asked
        to compress it, as kubectl does: it is ten times smaller. Raises ApiError."""
        with ExitStack() as stack:
            response = _patiently(
                lambda: stack.enter_context(self._transport.answer("GET", path, query=query, compressed=True))
            )
            part = bytearray()
            for chunk in chunks(response, what=f"GET {path}"):
                part += chunk
                if len(part) >= _PART_BYTES:
                    yield bytes(part)
                    part.clear()
            yield bytes(part)

    def text(self, path: str, *, most_bytes: int, **query: str) -> str:
        """Return an answer that is text, such as a container's log, up to `most_bytes`. Raises ApiError."""
        data = self._read(path, enough_bytes=most_bytes, query=query)
        return data[:most_bytes].decode(errors="replace")

    def _read(self, path: str, *, enough_bytes: int, query: dict[str, str]) -> bytes:
        """Return an answer, or its beginning of at least `enough_bytes`. Raises ApiError."""
        data = bytearray()
        with self._transport.answer("GET", path, query=query) as response:
            for chunk in chunks(response, what=f"GET {path}"):
                data += chunk
                if len(data) >= enough_bytes:
                    break
        return bytes(data)


def _patiently(ask: Callable[[], _T]) -> _T:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return ask()
        except ApiError as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS or attempt == _ATTEMPTS:
                raise
            time.sleep(min(_MOST_WAIT_SECONDS, error.retry_after_seconds or 1.0))
    raise AssertionError("the last attempt returns or raises")
