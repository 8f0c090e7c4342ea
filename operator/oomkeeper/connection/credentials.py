"""What identifies this process to the API server, read from its source as late as possible."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from oomkeeper.kernel.bounded_read import read_text

from .config import ApiConfig

if TYPE_CHECKING:
    from .exec_plugin import ExecCredential


class CredentialError(Exception):
    """The credential cannot be had at the moment; the text names its source."""


class Credentials:
    """One process's credential. Safe to share between threads: each method reads or replaces one value."""

    def __init__(self, config: ApiConfig) -> None:
        self._config = config
        self._issued: ExecCredential | None = None

    def authorization(self) -> str | None:
        """Return the value of the Authorization header, None where a client certificate or nothing is used.

        Raises CredentialError.
        """
        config = self._config
        if config.token_file is not None:
            return f"Bearer {_read_token(config.token_file)}"
        if config.token is not None:
            return f"Bearer {config.token}"
        if config.username is not None:
            pair = f"{config.username}:{config.password or ''}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        if config.exec_plugin is not None:
            issued = self._current()
            return f"Bearer {issued.token}" if issued.token else None
        return None

    def client_certificate(self) -> tuple[bytes, bytes] | None:
        """Return certificate and key (PEM) where they are given as data or issued by a plugin.

        Raises CredentialError.
        """
        config = self._config
        if config.client_cert_data is not None and config.client_key_data is not None:
            return config.client_cert_data, config.client_key_data
        if config.exec_plugin is not None:
            issued = self._current()
            if issued.client_cert_data is not None and issued.client_key_data is not None:
                return issued.client_cert_data, issued.client_key_data
        return None

    def refused(self) -> None:
        """Note that the server answered 401: what a plugin issued is issued again before the next request."""
        self._issued = None

    def _current(self) -> "ExecCredential":
        from .exec_plugin import ExecPluginError, run_exec_plugin

        issued = self._issued
        if issued is None or issued.expired():
            assert self._config.exec_plugin is not None
            try:
                issued = self._issued = run_exec_plugin(self._config.exec_plugin, config=self._config)
            except ExecPluginError as error:
                raise CredentialError(str(error)) from error
        return issued


def _read_token(path: Path) -> str:
    try:
        token = read_text(path).strip()
    except OSError as error:
        raise CredentialError(f"token file {path}: {error.strerror or error}") from error
    if not token.isascii() or not token.isprintable() or not token:
        raise CredentialError(f"token file {path}: not one line of ASCII text")
    return token
