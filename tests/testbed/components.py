"""The command lines: what runs, with which flags, and why those."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .plan import Component
from .ports import free_ports

SERVICE_CIDR = "10.96.0.0/24"
AUDIT_LOG = "audit.log"
_CRITICAL_CLASSES = ["system-node-critical", "system-cluster-critical"]


def etcd(folder: Path, found: Mapping[str, Path], *, client_port: int, peer_port: int) -> Component:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    flags = {
        "data-dir": f"{folder}/etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "log-level": "warn",
        "unsafe-no-fsync": "true",  # nothing here outlives the run
    }
    return Component(name="etcd", command=_command(found["etcd"], flags))


def kube_apiserver(
    folder: Path,
    found: Mapping[str, Path],
    *,
    url: str,
    etcd_port: int,
    service_accounts: bool,
    audit: bool,
    limit_priority_classes: bool,
) -> Component:
    flags = {
        "etcd-servers": f"http://127.0.0.1:{etcd_port}",
        "bind-address": "127.0.0.1",
        "secure-port": url.rpartition(":")[2],
        # Endpoints of the service "kubernetes" may not be loopback, and no kube-proxy would route to them.
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none",
        "cert-dir": f"{folder}/apiserver",
        "tls-cert-file": f"{folder}/apiserver.crt",
        "tls-private-key-file": f"{folder}/apiserver.key",
        "client-ca-file": f"{folder}/ca.crt",
        "kubelet-client-certificate": f"{folder}/kubelet-client.crt",
        "kubelet-client-key": f"{folder}/kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-key-file": f"{folder}/sa.key",
        "service-account-signing-key-file": f"{folder}/sa.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "authorization-mode": "Node,RBAC",
        "token-auth-file": f"{folder}/tokens.csv",
        "service-cluster-ip-range": SERVICE_CIDR,
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
    }
    if not service_accounts:
        # Without kube-controller-manager no namespace gets its default account, and no pod could be made.
        flags["disable-admission-plugins"] = "ServiceAccount"
    if limit_priority_classes:
        flags["admission-control-config-file"] = _limit_priority_classes(folder)
    if audit:
        policy = folder / "audit.json"
        rules = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
        policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}))
        flags |= {"audit-policy-file": str(policy), "audit-log-path": f"{folder}/{AUDIT_LOG}"}
    return Component(name="kube-apiserver", command=_command(found["kube-apiserver"], flags))


def _limit_priority_classes(folder: Path) -> str:
    """Write GKE's admission configuration: pods with a system-* priority class need a quota for the class.

    Source: Kubernetes documentation, Resource Quotas, "Limit Priority Class consumption by default".
    """
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": _CRITICAL_CLASSES}
    quota = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "ResourceQuotaConfiguration",
        "limitedResources": [{"resource": "pods", "matchScopes": [scope]}],
    }
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "ResourceQuota", "configuration": quota}],
    }
    path = folder / "admission.json"
    path.write_text(json.dumps(configuration))
    return str(path)


def controller_manager(folder: Path, found: Mapping[str, Path], *, url: str) -> Component:
    flags = {
        "kubeconfig": f"{folder}/kubeconfig",
        "leader-elect": "false",
        "service-account-private-key-file": f"{folder}/sa.key",
        "root-ca-file": f"{folder}/ca.crt",  # kube-root-ca.crt in every namespace, for the pods
        "use-service-account-credentials": "true",
        "flex-volume-plugin-dir": f"{folder}/volume-plugins",
        # It makes one account per controller before it starts any: 5 s with the default of 20 a second.
        "kube-api-qps": "500",
        "kube-api-burst": "1000",
        "secure-port": "0",
    }
    command = _command(found["kube-controller-manager"], flags)
    return Component(name="kube-controller-manager", command=command, waits_for=(f"{url}/readyz",))


def scheduler(folder: Path, found: Mapping[str, Path], *, url: str) -> Component:
    flags = {"kubeconfig": f"{folder}/kubeconfig", "leader-elect": "false", "secure-port": "0"}
    command = _command(found["kube-scheduler"], flags)
    return Component(name="kube-scheduler", command=command, waits_for=(f"{url}/readyz",))


def containerd(folder: Path, found: Mapping[str, Path], *, runc: Path) -> Component:
    # containerd looks for its shim, and the shim for runc, on the PATH.
    path = f"{found['containerd'].parent}:{runc.parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Component(
        name="containerd",
        command=(str(found["containerd"]), "--config", f"{folder}/containerd.toml"),
        environment=(("PATH", path),),
        gentle_seconds=5,
        hosts_pods=True,
    )


def kubelet(folder: Path, found: Mapping[str, Path], *, node: str, node_ip: str, url: str) -> Component:
    flags = {
        "config": f"{folder}/kubelet.json",
        "kubeconfig": f"{folder}/kubeconfig-node",
        "hostname-override": node,
        "node-ip": node_ip,
        "root-dir": f"{folder}/kubelet",
        "cert-dir": f"{folder}/kubelet-certs",
    }
    return Component(
        name="kubelet",
        command=_command(found["kubelet"], flags),
        waits_for=(f"{url}/readyz", f"unix://{folder}/containerd.sock"),
        gentle_seconds=5,
    )


def etcd_and_apiserver(
    folder: Path,
    found: Mapping[str, Path],
    *,
    url: str,
    service_accounts: bool,
    audit: bool = False,
    limit_priority_classes: bool = False,
) -> tuple[Component, ...]:
    """Both, etcd on two free ports."""
    client_port, peer_port = free_ports(2)
    apiserver = kube_apiserver(
        folder,
        found,
        url=url,
        etcd_port=client_port,
        service_accounts=service_accounts,
        audit=audit,
        limit_priority_classes=limit_priority_classes,
    )
    return (etcd(folder, found, client_port=client_port, peer_port=peer_port), apiserver)


def _command(program: Path, flags: Mapping[str, str]) -> tuple[str, ...]:
    return (str(program), *(f"--{name}={value}" for name, value in flags.items()))
