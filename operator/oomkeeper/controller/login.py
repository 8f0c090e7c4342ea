"""Where the controller finds the API server and its credentials."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import kopf

from oomkeeper.connection.config import SERVICE_ACCOUNT, ApiConfig, ApiConfigError
from oomkeeper.connection.kubeconfig import kubeconfig_files, read_kubeconfig
from oomkeeper.connection.retry import Backoff
from oomkeeper.connection.tls import check_config

from .session import open_session

_HOME_KUBECONFIG = Path("~/.kube/config")


def find_config(
    *, kubeconfig: Path | None, environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT
) -> ApiConfig:
    """Return the configuration: --kubeconfig, else $KUBECONFIG, else the pod's service account, else
    ~/.kube/config.

    Raises ApiConfigError.
    """
    home = _HOME_KUBECONFIG.expanduser()
    named = kubeconfig_files(environ.get("KUBECONFIG", ""))
    if kubeconfig is not None or named:
        files = [kubeconfig] if kubeconfig is not None else named
    elif (service_account / "token").exists():
        config = ApiConfig.in_cluster(environ=environ, folder=service_account)
        check_config(config)
        return config
    elif home.exists():
        files = [home]
    else:
        raise ApiConfigError(
            "no cluster: neither --kubeconfig, KUBECONFIG, ~/.kube/config nor a service account names one"
        )
    config = read_kubeconfig(files, environ=environ)
    check_config(config, source=files[0])
    return config


class Login:
    """kopf's login: gives a session, and a new one each time the API server refuses the credentials (401).

    The session itself renews tokens and certificates, so that a refusal usually lasts: kopf would log in
    again immediately and without end, hence the delay.
    """

    def __init__(self, *, config: Callable[[], ApiConfig]) -> None:
        """`config` may raise ApiConfigError."""
        self._config = config
        self._backoff = Backoff()
        self._next_at = 0.0

    async def __call__(self) -> kopf.AiohttpSession:
        """Raises kopf.TemporaryError while there is no usable configuration."""
        now = asyncio.get_running_loop().time
        wait_seconds = self._next_at - now()
        if wait_seconds > 0:
            await asyncio.sleep(wait_seconds)
        elif wait_seconds < -_LASTING_SECONDS:
            self._backoff.succeeded()
        delay_seconds = self._backoff.failed()
        self._next_at = now() + delay_seconds
        try:
            config = self._config()
        except ApiConfigError as error:
            raise kopf.TemporaryError(str(error), delay=delay_seconds) from error
        return kopf.AiohttpSession(server=config.server, aiohttp_session=open_session(config))


_LASTING_SECONDS = 60.0
"""Credentials that were accepted for this time worked."""
