"""An API client that also creates, patches and deletes, for the verbs that change something."""

from typing import Any

from oomkeeper.agent.kube.client import ApiClient
from oomkeeper.agent.kube.transport import chunks

FIELD_MANAGER = "kubectl-oom"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


class ClusterClient(ApiClient):
    """Objects are created under a name that the caller chose, so a request that is sent twice makes one."""

    def create(self, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
        """Create an object in the collection at `path`. Raises ApiError."""
        return self._object(
            "POST",
            path,
            query={"fieldManager": FIELD_MANAGER, **query},
            body=body,
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
