"""Where the API server is and who we are: a kubeconfig or the pod's service account, without any client
library."""

import dataclasses
import os
from pathlib import Path

import kopf
import yaml


class NoCluster(Exception):
    """No usable credentials; the text says what was tried."""


def connect(*, kubeconfig: Path | None) -> kopf.ConnectionInfo:
    """Credentials: --kubeconfig, else $KUBECONFIG, else the service account of the pod, else ~/.kube/config.

    Raises NoCluster.
    """
    settings = kopf.OperatorSettings()
    if kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(kubeconfig)  # kopf's reader takes it from there alone
    if not os.environ.get("KUBECONFIG"):
        found = kopf.login_with_service_account(settings=settings)
        if isinstance(found, kopf.ConnectionInfo):
            return _by_address(found)
    where = os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        found = kopf.login_with_kubeconfig(settings=settings)
    except OSError as error:
        raise NoCluster(f"{where}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise NoCluster(f"{where}: no YAML: {' '.join(str(error).split())}") from error
    except (KeyError, TypeError, AttributeError, ValueError, kopf.LoginError) as error:
        raise NoCluster(f"{where}: no usable current context: {error}") from error
    if not isinstance(found, kopf.ConnectionInfo) or not found.server:
        raise NoCluster(
            "no cluster: neither --kubeconfig, KUBECONFIG, ~/.kube/config nor a service account names one"
        )
    return _beside(found, folder=Path(where.split(os.pathsep)[0]).expanduser().parent)


def _by_address(info: kopf.ConnectionInfo) -> kopf.ConnectionInfo:
    """As kubelet tells every container: kopf asks the cluster's DNS for the API server, which needs the API
    server itself and may be the very thing that is out of memory."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        return info
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return dataclasses.replace(info, server=server)


def _beside(info: kopf.ConnectionInfo, *, folder: Path) -> kopf.ConnectionInfo:
    """Paths in a kubeconfig are relative to it (client-go tools/clientcmd ResolveLocalPaths); kopf leaves
    them."""
    paths = {
        name: str(folder / value)
        for name in ("ca_path", "certificate_path", "private_key_path")
        if isinstance(value := getattr(info, name), str)
    }
    return dataclasses.replace(info, **paths)  # type: ignore[arg-type]
