"""The agents' DaemonSet and their admission policy, applied by the controller where the installer cannot: the
Operator Lifecycle Manager installs Deployments and roles alone.

They come from a file, which the installer mounts, and are of a few kinds. The controller applies them at its
start and from time to time, so that what is deleted or changed comes back.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from oomkeeper.connection.retry import Backoff
from oomkeeper.kernel.bounded_read import read_bytes
from oomkeeper.logformat import get_logger

from .apiclient import APIClient, APIError

_log = get_logger(__name__)

NAMESPACE, IMAGE = "$(NAMESPACE)", "$(IMAGE)"
"""In the file: the operator's namespace, and its image."""
DEPLOYMENT = "oomkeeper-controller"
"""With it the DaemonSet is deleted."""
_INTERVAL_SECONDS = 300.0
_APPS = "/apis/apps/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_PATHS = {
    "DaemonSet": f"{_APPS}/namespaces/{NAMESPACE}/daemonsets",
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}


class OwnObjectsError(Exception):
    """The file cannot be used. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnObjects:
    """What to apply, and where."""

    objects: tuple[Mapping[str, Any], ...]
    namespace: str

    @classmethod
    def read(cls, file: Path, *, namespace: str, image: str) -> "OwnObjects":
        """Read the file and put namespace and image in. Raises OwnObjectsError."""
        try:
            documents = [one for one in yaml.safe_load_all(read_bytes(file)) if one is not None]
        except (OSError, yaml.YAMLError) as error:
            raise OwnObjectsError(f"--own-objects {file}: {error}") from error
        for number, one in enumerate(documents, start=1):
            metadata = one.get("metadata") if isinstance(one, dict) else None
            name = metadata.get("name") if isinstance(metadata, dict) else None
            if not isinstance(name, str) or not name or "/" in name or one.get("kind") not in _PATHS:
                raise OwnObjectsError(
                    f"--own-objects {file}: document {number} must have a name and be one of "
                    + ", ".join(_PATHS)
                )
        values = {NAMESPACE: namespace, IMAGE: image}
        return cls(objects=tuple(_filled(one, values) for one in documents), namespace=namespace)

    async def keep_applied(self, api: APIClient) -> None:
        """Apply them without end."""
        backoff = Backoff()
        while True:
            try:
                await self.apply(api)
            except APIError as error:
                delay = backoff.failed(retry_after_seconds=error.retry_after_seconds)
                _log.warning("own objects not applied", error=error, retry_seconds=delay)
            else:
                backoff.succeeded()
                delay = _INTERVAL_SECONDS
            await asyncio.sleep(delay)

    async def apply(self, api: APIClient) -> None:
        """Apply them once. Raises APIError."""
        path = f"{_APPS}/namespaces/{self.namespace}/deployments/{DEPLOYMENT}"
        deployment = await api.get(path)
        for one in self.objects:
            folder = _PATHS[one["kind"]].replace(NAMESPACE, self.namespace)
            metadata = dict(one["metadata"])
            if one["kind"] == "DaemonSet":
                metadata |= {"namespace": self.namespace} | _owned_by(deployment)
            await api.apply(f"{folder}/{metadata['name']}", {**one, "metadata": metadata})


def _owned_by(deployment: Mapping[str, Any] | None) -> dict[str, Any]:
    if deployment is None:
        return {}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": DEPLOYMENT,
        "uid": deployment["metadata"]["uid"],
    }
    return {"ownerReferences": [owner]}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return the value with the placeholders in its strings replaced."""
    if isinstance(value, dict):
        return {key: _filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    if isinstance(value, str):
        for placeholder, text in values.items():
            value = value.replace(placeholder, text)
    return value
