"""Which binaries a level needs and how each module is built.

To move to another version, change it here and run `go get -tool PACKAGE@VERSION && go mod tidy` in the
module's folder under gomodules/ (for Kubernetes: its version and the v0.x of every `replace` line, one per
staging module).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.37.2"
ETCD_VERSION = "v3.7.3"
CONTAINERD_VERSION = "v2.4.2"
KIND_VERSION = "v0.33.0"
KIND_NODE_IMAGE = (
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)
"""The default image of this kind version: its pkg/apis/config/defaults/image.go."""
COREDNS_VERSION = "v1.14.6"
PAUSE_VERSION = "3.10.2"
ETCD_IMAGE_TAG = "3.7.0-0"
"""These three as kubeadm of KUBERNETES_VERSION wants them: its app/constants/constants.go."""
HELM_VERSION = "v3.22.0"
NFPM_VERSION = "v2.43.4"
"""The last one whose modules are all to be had from proxy.golang.org."""
NODE_PROBLEM_DETECTOR_VERSION = "v1.34.0"
OPERATOR_FRAMEWORK_VERSION = "v0.37.0"
GO_VERSION = "1.26.6"
"""The highest `go` line among gomodules/*/go.mod."""

_GOMODULES = Path(__file__).parent / "gomodules"
_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
_VERSION_PACKAGE = "k8s.io/component-base/version"
# Without these the server reports v0.0.0, and kubeadm, kopf and helm take wrong turns.
_KUBERNETES_LDFLAGS = (
    f"-s -w -X {_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION}"
    f" -X {_VERSION_PACKAGE}.gitMajor={_MAJOR} -X {_VERSION_PACKAGE}.gitMinor={_MINOR}"
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One `go build`: some commands of one module."""

    name: str
    version: str
    module: str
    """Folder under gomodules/."""
    packages: dict[str, str]
    """Binary name -> Go package."""
    ldflags: str = "-s -w"
    tags: str = ""
    typical_seconds: int = 60
    """A first build on two cores, for the message before it."""

    @property
    def folder(self) -> Path:
        return _GOMODULES / self.module

    def stamp(self) -> str:
        """Changes whenever the build's result may: versions, dependencies, flags."""
        parts = [self.version, self.ldflags, self.tags, *sorted(self.packages.values())]
        sources = ("go.mod", "go.sum", *sorted(path.name for path in self.folder.glob("*.go")))
        parts += [(self.folder / name).read_text() for name in sources]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _kubernetes(name: str, *commands: str, typical_seconds: int, module: str = "kubernetes") -> Recipe:
    return Recipe(
        name=name,
        version=KUBERNETES_VERSION,
        module=module,
        packages={command: f"k8s.io/kubernetes/cmd/{command}" for command in commands},
        ldflags=_KUBERNETES_LDFLAGS,
        typical_seconds=typical_seconds,
    )


ETCD = Recipe(
    name="etcd",
    version=ETCD_VERSION,
    module="etcd",
    packages={"etcd": "go.etcd.io/etcd/server/v3"},
    typical_seconds=45,
)
APISERVER = _kubernetes("apiserver", "kube-apiserver", "kubectl", typical_seconds=520)
CONTROLLER_MANAGER = _kubernetes("controller-manager", "kube-controller-manager", typical_seconds=120)
SCHEDULER = _kubernetes("scheduler", "kube-scheduler", typical_seconds=30)
KUBELET = _kubernetes("kubelet", "kubelet", typical_seconds=40)
CONTAINERD = Recipe(
    name="containerd",
    version=CONTAINERD_VERSION,
    module="containerd",
    packages={
        command: f"github.com/containerd/containerd/v2/cmd/{command}"
        for command in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
    tags="no_btrfs no_devmapper no_zfs",
    typical_seconds=225,
)
# A module of their own: two more commands in `kubernetes` would build all of its others anew.
KUBEADM = _kubernetes("kubeadm", "kubeadm", "kube-proxy", typical_seconds=100, module="kubeadm")
COREDNS = Recipe(
    name="coredns",
    version=COREDNS_VERSION,
    module="coredns",
    packages={"coredns": "oomkeeper.dev/testbed/coredns"},
    typical_seconds=90,
)
KIND = Recipe(
    name="kind",
    version=KIND_VERSION,
    module="kind",
    packages={"kind": "sigs.k8s.io/kind"},
    typical_seconds=10,
)
HELM = Recipe(
    name="helm",
    version=HELM_VERSION,
    module="helm",
    packages={"helm": "helm.sh/helm/v3/cmd/helm"},
    typical_seconds=200,
)
NFPM = Recipe(
    name="nfpm",
    version=NFPM_VERSION,
    module="nfpm",
    packages={"nfpm": "github.com/goreleaser/nfpm/v2/cmd/nfpm"},
    typical_seconds=60,
)
# Only for bench.kind: the comparable tool that reports every kill immediately.
NODE_PROBLEM_DETECTOR = Recipe(
    name="node-problem-detector",
    version=NODE_PROBLEM_DETECTOR_VERSION,
    module="node-problem-detector",
    packages={"nodeproblemdetector": "k8s.io/node-problem-detector/cmd/nodeproblemdetector"},
    typical_seconds=150,
)

# Only for tests/chart: a program of ours around the validators of operator-framework/api.
BUNDLE_VALIDATE = Recipe(
    name="bundle-validate",
    version=OPERATOR_FRAMEWORK_VERSION,
    module="bundle-validate",
    packages={"bundle-validate": "oomkeeper.dev/testbed/bundle-validate"},
    typical_seconds=175,
)

CONTROL_PLANE = (ETCD, APISERVER)
NODE = (*CONTROL_PLANE, CONTROLLER_MANAGER, SCHEDULER, KUBELET, CONTAINERD)
KIND_CLIENTS = (KIND, HELM, APISERVER)
"""What a kind cluster needs on this machine; kubectl is the API server's recipe's."""
KIND_NODE = (*NODE, KUBEADM, COREDNS)
"""What goes into a node image of our own."""
