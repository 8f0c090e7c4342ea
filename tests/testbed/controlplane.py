"""The control plane level: etcd and kube-apiserver on free loopback ports, and how to talk to them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import packages, recipes
from .binaries import binaries
from .cache import Say, silent
from .certificates import make_certificates
from .components import AUDIT_LOG, controller_manager, etcd_and_apiserver
from .images import PAUSE
from .kubeconfigs import write_kubeconfig
from .kubectl import run_kubectl
from .launch import launched
from .plan import Plan
from .ports import free_ports

ADMIN_KUBECONFIG = "kubeconfig"


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A running API server and its administrator's credentials."""

    folder: Path
    """The run folder: logs, certificates, kubeconfigs; removed at the end."""
    url: str
    """https://127.0.0.1:PORT"""
    kubeconfig: Path
    """The administrator's (system:masters)."""
    ca_file: Path
    """What signs the server's certificate: clients verify TLS."""
    token: str
    """The administrator's bearer token."""
    kubectl_path: Path

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator; gives its stdout, and its stderr after that when `check` is off.

        Raises KubectlError when `check` is on and it fails.
        """
        return run_kubectl(
            self.kubectl_path,
            *arguments,
            kubeconfig=self.kubeconfig,
            cache=self.folder / "kubectl-cache",
            input=input,
            check=check,
        )

    def service_account_token(
        self, *, name: str, namespace: str = "default", node: str | None = None, seconds: int = 3600
    ) -> str:
        """A token of the service account `name`, as a pod on `node` would be given it.

        With `node`, a pod `NAME-on-NODE` bound to that node is made (once) and the token bound to it, so
        requests carry `authentication.kubernetes.io/node-name` in userInfo.extra. The account must exist, the
        Node need not.
        """
        bound: tuple[str, ...] = ()
        if node is not None:
            pod = f"{name}-on-{node}"
            spec = {
                "nodeName": node,
                "serviceAccountName": name,
                "containers": [{"name": "main", "image": PAUSE, "imagePullPolicy": "Never"}],
            }
            metadata = {"name": pod, "namespace": namespace}
            manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            self.kubectl("apply", "-f", "-", input=json.dumps(manifest))
            bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod}")
        duration = f"--duration={seconds}s"
        return self.kubectl("create", "token", name, f"--namespace={namespace}", duration, *bound).strip()

    def requests(self, *, user: str) -> list[Mapping[str, Any]]:
        """The audit events of a user (`system:serviceaccount:NAMESPACE:NAME`) so far, where `audit` was
        asked for."""
        complete = (self.folder / AUDIT_LOG).read_text().rpartition("\n")[0]  # the last may be half written
        events = (json.loads(line) for line in complete.splitlines())
        return [event for event in events if event["user"]["username"] == user]

    def kubeconfig_for(self, *, user: str, token: str) -> Path:
        """Write a kubeconfig file for another user's token into the run folder and return its path."""
        path = self.folder / f"kubeconfig-{user}"
        return write_kubeconfig(path, url=self.url, ca_file=self.ca_file, token=token, user=user)


@contextmanager
def control_plane(
    *,
    say: Say = silent,
    controllers: bool = False,
    audit: bool = False,
    limit_priority_classes: bool = False,
    folder: Path | None = None,
) -> Iterator[ControlPlane]:
    """Run a control plane until the block ends.

    `controllers` adds kube-controller-manager, `audit` the log of all requests (ControlPlane.requests),
    `limit_priority_classes` GKE's admission of system-* priority classes.

    `folder` is where its run folder goes (default under /var/tmp). Raises TestbedError, saying what is
    missing.
    """
    make_plan = prepare(
        say=say, controllers=controllers, audit=audit, limit_priority_classes=limit_priority_classes
    )
    with launched(make_plan, level="controlplane", exclusive=False, say=say, folder=folder) as plan:
        yield attach(plan.folder)


def prepare(
    *,
    say: Say,
    controllers: bool,
    audit: bool = False,
    limit_priority_classes: bool = False,
    detached: bool = False,
) -> Callable[[Path], Plan]:
    """Have all binaries; gives the function that fills a run folder and says what to run there."""
    packages.require(packages.CONTROL_PLANE, say=say)
    wanted = recipes.CONTROL_PLANE + ((recipes.CONTROLLER_MANAGER,) if controllers else ())
    found = binaries(wanted, say=say)

    def make_plan(folder: Path) -> Plan:
        url = write_files(folder, found, users={})
        own = etcd_and_apiserver(
            folder,
            found,
            url=url,
            service_accounts=controllers,
            audit=audit,
            limit_priority_classes=limit_priority_classes,
        )
        manager = (controller_manager(folder, found, url=url),) if controllers else ()
        return Plan(
            folder=folder, components=(*own, *manager), ready_when=(f"{url}/readyz",), detached=detached
        )

    return make_plan


def write_files(folder: Path, found: Mapping[str, Path], *, users: Mapping[str, tuple[str, str]]) -> str:
    """Certificates, tokens, kubeconfigs; `users` is name -> (user, group). Gives the API server's URL."""
    make_certificates(folder)
    [port] = free_ports(1)
    url = f"https://127.0.0.1:{port}"
    lines = []
    for name, (user, group) in {ADMIN_KUBECONFIG: ("admin", "system:masters"), **users}.items():
        token = secrets.token_hex(16)
        lines.append(f'{token},{user},{user},"{group}"\n')
        write_kubeconfig(folder / name, url=url, ca_file=folder / "ca.crt", token=token, user=user)
        (folder / f"{name}.token").write_text(token)
    (folder / "tokens.csv").write_text("".join(lines))
    (folder / "kubectl").symlink_to(found["kubectl"])
    return url


def attach(folder: Path) -> ControlPlane:
    """The control plane that runs in a run folder."""
    kubeconfig = folder / ADMIN_KUBECONFIG
    return ControlPlane(
        folder=folder,
        url=json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"],
        kubeconfig=kubeconfig,
        ca_file=folder / "ca.crt",
        token=(folder / f"{ADMIN_KUBECONFIG}.token").read_text(),
        kubectl_path=(folder / "kubectl").resolve(),
    )
