"""Where the API server is and who this process is: the fields of a kubeconfig that are supported."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from .proxies import check_proxy, proxy_from_environment

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ApiConfigError(Exception):
    """The configuration cannot be used; the text names the file or field and says what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecPlugin:
    """A client-go credential plugin: a program that prints a credential (client.authentication.k8s.io)."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """Added to this process's own environment."""
    api_version: str = "client.authentication.k8s.io/v1"
    provide_cluster_info: bool = False
    install_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """Address of the API server and the credentials for it."""

    server: str
    """https://host:port/path; the path is the prefix of every request (Rancher: /k8s/clusters/ID)."""
    ca_file: Path | None = None
    """Read again when it changes. With neither CA field the system's trust store decides."""
    ca_data: bytes | None = None
    """PEM."""
    insecure: bool = False
    """Do not verify the server's certificate (insecure-skip-tls-verify)."""
    tls_server_name: str | None = None
    """Name that the server's certificate must carry, where it is not the host of `server`."""
    proxy_url: str | None = None
    """http://host:port of a proxy; None connects directly."""
    token: str | None = None
    token_file: Path | None = None
    """Read at each request: kubelet renews a projected token well before it expires. Wins over `token`."""
    username: str | None = None
    password: str | None = None
    client_cert: Path | None = None
    """Read again when it changes."""
    client_key: Path | None = None
    client_cert_data: bytes | None = None
    """PEM."""
    client_key_data: bytes | None = None
    exec_plugin: ExecPlugin | None = None

    @classmethod
    def in_cluster(cls, *, environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Self:
        """Return the configuration of a pod's service account. Raises ApiConfigError outside a pod.

        The address is the one that kubelet gives to every container: the name kubernetes.default.svc, used
        only without it, needs the cluster's DNS, which needs the API server.
        """
        if not (folder / "token").exists():
            raise ApiConfigError("not in a pod with a service account: name the API server with --kubeconfig")
        host = environ.get("KUBERNETES_SERVICE_HOST") or "kubernetes.default.svc"
        port = environ.get("KUBERNETES_SERVICE_PORT") or "443"
        host = f"[{host}]" if ":" in host else host
        server = f"https://{host}:{port}"
        return cls(
            server=server,
            ca_file=folder / "ca.crt",
            token_file=folder / "token",
            proxy_url=proxy_from_environment(server, environ=environ),
        )

    def check(self) -> None:
        """Check what can be checked without a request. Raises ApiConfigError."""
        check_server(self.server)
        if self.proxy_url is not None:
            try:
                check_proxy(self.proxy_url)
            except ValueError as error:
                raise ApiConfigError(str(error)) from error
        for what, path in (
            ("CA file", self.ca_file),
            ("token file", self.token_file),
            ("client certificate", self.client_cert),
            ("client key", self.client_key),
        ):
            if path is not None:
                _check_readable(path, what=what)
        has_cert = self.client_cert is not None or self.client_cert_data is not None
        has_key = self.client_key is not None or self.client_key_data is not None
        if has_cert != has_key:
            missing = "client-key" if has_cert else "client-certificate"
            raise ApiConfigError(f"{missing} is missing: a client certificate needs both")


def check_server(server: str) -> None:
    """Raises ApiConfigError unless `server` is an http or https URL of a host."""
    try:
        url = urlsplit(server)
        port = url.port
    except ValueError as error:
        raise ApiConfigError(f"server {server!r}: {error}") from error
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise ApiConfigError(f"server {server!r}: write a URL such as https://10.0.0.1:6443")
    if url.query or url.fragment or url.username is not None:
        raise ApiConfigError(f"server {server!r}: a user name, query or fragment is not supported")


def _check_readable(path: Path, *, what: str) -> None:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise ApiConfigError(f"{what} {os.fspath(path)}: is empty")
    except OSError as error:
        raise ApiConfigError(f"{what} {os.fspath(path)}: {error.strerror or error}") from error
