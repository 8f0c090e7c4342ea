"""An API client that also creates, patches and deletes, for the verbs that change something."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.kube.errors import ApiError
from oomkeeper.agent.kube.transport import chunks

FIELD_MANAGER = "kubectl-oom"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


_BUSY = 429
_ATTEMPTS = 4
_MOST_WAIT_SECONDS = 5.0
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
        return self._object(
            "POST",
            path,
            query={"fieldManager": FIELD_MANAGER, **query},
            body=obj,
            content_type="application/json",
        )

    def patch(
        self, path: str, body: dict[str, Any], *, kind: str = STRATEGIC, dry_run: bool = False
    ) -> dict[str, Any]:
        """Patch an object; with `dry_run` the server only checks the result. Raises ApiError."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self._object("PATCH", path, query=query, body=body, content_type=kind)

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object; `options` are those of metav1.DeleteOptions. Raises ApiError."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        self._object("DELETE", path, query={}, body=body, content_type="application/json")

    def text(self, path: str, *, most_bytes: int, **query: str) -> str:
        """Return an answer that is text, such as a container's log, up to `most_bytes`. Raises ApiError."""
        data = bytearray()
        with self._transport.answer("GET", path, query=query) as response:
            for chunk in chunks(response, what=f"GET {path}"):
                data += chunk
                if len(data) >= most_bytes:
                    break
        return data[:most_bytes].decode(errors="replace")


def _patiently(ask: Callable[[], _T]) -> _T:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return ask()
        except ApiError as error:
            if error.status != _BUSY or attempt == _ATTEMPTS:
                raise
            time.sleep(min(_MOST_WAIT_SECONDS, error.retry_after_seconds or 1.0))
    raise AssertionError("the last attempt returns or raises")
