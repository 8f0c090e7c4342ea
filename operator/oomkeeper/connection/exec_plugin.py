"""client-go credential plugins: `users[].user.exec` of a kubeconfig (aws, gke-gcloud-auth-plugin, kubelogin).

The contract: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .config import ApiConfig, ExecPlugin

_TIMEOUT_SECONDS = 60.0
_RENEW_EARLY_SECONDS = 10.0
_LONGEST_MESSAGE = 200


class ExecPluginError(Exception):
    """The plugin gave no credential; the text names the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecCredential:
    """What a plugin printed."""

    token: str | None = None
    client_cert_data: bytes | None = None
    client_key_data: bytes | None = None
    expires_at: float | None = None
    """Seconds since the epoch; None while the process runs."""

    def expired(self) -> bool:
        """Return whether it is time for a new one."""
        return self.expires_at is not None and time.time() >= self.expires_at - _RENEW_EARLY_SECONDS


def run_exec_plugin(plugin: ExecPlugin, *, config: ApiConfig) -> ExecCredential:
    """Run the plugin and return its credential. Raises ExecPluginError."""
    environment = {**os.environ, **dict(plugin.environment)}
    environment["KUBERNETES_EXEC_INFO"] = json.dumps(_exec_info(plugin, config=config))
    try:
        done = subprocess.run(
            [plugin.command, *plugin.arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExecPluginError(
            f"exec plugin {plugin.command}: no answer in {_TIMEOUT_SECONDS:.0f} s"
        ) from error
    except OSError as error:
        hint = f" ({plugin.install_hint})" if plugin.install_hint else ""
        raise ExecPluginError(f"exec plugin {plugin.command}: {error.strerror or error}{hint}") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip()[-_LONGEST_MESSAGE:]
        raise ExecPluginError(
            f"exec plugin {plugin.command}: exit {done.returncode}: {' '.join(last.split())}"
        )
    try:
        return parse_exec_credential(json.loads(done.stdout), api_version=plugin.api_version)
    except (ValueError, TypeError, AttributeError) as error:
        raise ExecPluginError(
            f"exec plugin {plugin.command}: not a usable ExecCredential: {error}"
        ) from error


def parse_exec_credential(document: Mapping[str, Any], *, api_version: str) -> ExecCredential:
    """Return the credential in an ExecCredential object. Raises ValueError, TypeError or AttributeError."""
    if document.get("kind") != "ExecCredential" or document.get("apiVersion") != api_version:
        found = f"{document.get('apiVersion')} {document.get('kind')}"
        raise ValueError(f"expected {api_version} ExecCredential, found {found}")
    status = document.get("status") or {}
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    token = status.get("token")
    if bool(certificate) != bool(key) or not (token or certificate):
        raise ValueError("status holds neither a token nor a client certificate with its key")
    expires = status.get("expirationTimestamp")
    return ExecCredential(
        token=str(token) if token else None,
        client_cert_data=certificate.encode() if certificate else None,
        client_key_data=key.encode() if key else None,
        expires_at=datetime.fromisoformat(expires.replace("Z", "+00:00")).timestamp() if expires else None,
    )


def _exec_info(plugin: ExecPlugin, *, config: ApiConfig) -> dict[str, Any]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        cluster: dict[str, Any] = {"server": config.server}
        ca = config.ca_data or (config.ca_file.read_bytes() if config.ca_file else None)
        if ca is not None:
            cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
        if config.tls_server_name:
            cluster["tls-server-name"] = config.tls_server_name
        if config.proxy_url:
            cluster["proxy-url"] = config.proxy_url
        if config.insecure:
            cluster["insecure-skip-tls-verify"] = True
        spec["cluster"] = cluster
    return {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
