"""TLS towards the API server, with the certificates that kubectl accepts.

Python 3.13 sets VERIFY_X509_STRICT in ssl.create_default_context(). It refuses certificates without an
Authority Key Identifier and CAs whose basicConstraints is not critical (RFC 5280 asks for both); the
certificates of many existing clusters are of that kind and Go accepts them. So the context is made here, the
same on every version of Python: names, dates and signatures are verified, STRICT is off, and a CA file may
hold an intermediate CA (VERIFY_X509_PARTIAL_CHAIN), as Go's x509.Verify takes each certificate of the pool as
an anchor.
"""

import os
import socket
import ssl
from pathlib import Path
from typing import Any, Self

from oomkeeper.kernel.bounded_read import read_bytes

from .config import ApiConfig, ApiConfigError
from .credentials import Credentials

_Version = tuple[Any, ...]


class ApiServerContext(ssl.SSLContext):
    """Makes each handshake with the CA and client certificate as they are at that moment.

    A rotated ca.crt or client certificate is picked up by the next connection, without a restart. A file that
    cannot be read or parsed at that moment (it is being replaced) leaves the former certificates in use;
    without any the handshake raises ApiConfigError.
    """

    def __new__(cls, **_: Any) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, *, config: ApiConfig, credentials: Credentials) -> None:
        self._config = config
        self._credentials = credentials
        self._loaded: tuple[_Version, ssl.SSLContext] | None = None
        if config.insecure:
            self.check_hostname = False
            self.verify_mode = ssl.CERT_NONE

    def wrap_socket(  # type: ignore[override]  # a client's part of it
        self, sock: socket.socket, *, server_hostname: str | bytes | None = None, **options: Any
    ) -> ssl.SSLSocket:
        """As SSLContext.wrap_socket, for urllib3."""
        name = self._config.tls_server_name or server_hostname
        return self._current().wrap_socket(sock, server_hostname=name, **options)

    def wrap_bio(  # type: ignore[override]
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *,
        server_hostname: str | bytes | None = None,
        **options: Any,
    ) -> ssl.SSLObject:
        """As SSLContext.wrap_bio, for asyncio."""
        name = self._config.tls_server_name or server_hostname
        return self._current().wrap_bio(incoming, outgoing, server_hostname=name, **options)

    def _current(self) -> ssl.SSLContext:
        issued = self._credentials.client_certificate()
        version = (_stamps(self._config), issued)
        if self._loaded is not None and self._loaded[0] == version:
            return self._loaded[1]
        try:
            context = make_context(self._config, issued=issued)
        except ApiConfigError:
            if self._loaded is None:
                raise
            return self._loaded[1]
        self._loaded = (version, context)
        return context


def check_config(config: ApiConfig, *, source: Path | None = None) -> None:
    """Check everything that can be checked without a request.

    Raises ApiConfigError, whose text begins with `source`, the kubeconfig.
    """
    certificate, key = config.client_cert_data, config.client_key_data
    try:
        config.check()
        if config.server.startswith("https:"):
            make_context(config, issued=None if certificate is None or key is None else (certificate, key))
    except ApiConfigError as error:
        raise ApiConfigError(f"{source}: {error}" if source else str(error)) from error


def make_context(config: ApiConfig, *, issued: tuple[bytes, bytes] | None = None) -> ssl.SSLContext:
    """Return a client context for the certificates as they are now. Raises ApiConfigError.

    `issued` is a client certificate and its key as PEM, instead of the files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.ca_file is None and config.ca_data is None:
        context.load_default_certs()
    else:
        _load_ca(context, config)
    if issued is not None:
        _load_issued(context, *issued)
    elif config.client_cert is not None:
        key = config.client_key or config.client_cert
        try:
            context.load_cert_chain(config.client_cert, key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ApiConfigError(f"client certificate {config.client_cert}: {_reason(error)}") from error
    return context


def _load_ca(context: ssl.SSLContext, config: ApiConfig) -> None:
    source = f"CA file {config.ca_file}" if config.ca_file is not None else "certificate-authority-data"
    try:
        data = read_bytes(config.ca_file) if config.ca_file is not None else config.ca_data or b""
        context.load_verify_locations(cadata=data.decode("ascii", errors="ignore"))
    except (OSError, ValueError) as error:
        raise ApiConfigError(f"{source}: {_reason(error)}") from error


def _load_issued(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client certificate from memory: OpenSSL takes files only, so that an anonymous one holds it."""
    fd = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{fd}", password=_no_password)
    except (OSError, ValueError) as error:
        raise ApiConfigError(f"client-certificate-data: {_reason(error)}") from error
    finally:
        os.close(fd)


def _no_password() -> str:
    # Without this OpenSSL asks for the password of an encrypted key on the terminal.
    raise ValueError("the key is encrypted, which is not supported")


def _stamps(config: ApiConfig) -> tuple[object, ...]:
    return tuple(_stamp(path) for path in (config.ca_file, config.client_cert, config.client_key))


def _stamp(path: Path | None) -> object:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a PEM certificate ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
