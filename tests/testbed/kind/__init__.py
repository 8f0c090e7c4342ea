"""A kind cluster: several nodes with real kubelets and containerd, in containers on this machine's kernel.

    from tests.testbed.kind import install_operator, kind_cluster

    with kind_cluster(say=print) as cluster:    # the one of `make kind` if it is up, else one for this block
        install_operator(cluster, say=print)    # image and chart, as `make kind` does; a no-op where they are
        cluster.kubectl("get", "nodes")
        cluster.exec_in_node(cluster.workers[0], ["cat", "/proc/sys/vm/panic_on_oom"])

Functions:

    kind_cluster(*, name="oomkeeper", workers=2, say=silent) -> Iterator[KindCluster]    a context manager
    up(*, name="oomkeeper", workers=2, say=silent) -> KindCluster   takes the one of that name if it works
    find(name="oomkeeper") -> KindCluster | None                    only looks
    down(*, name=None, say=silent) -> None                          None: all of ours; puts the machine back
    operator_image(*, say=silent) -> OperatorImage                  its name (REPOSITORY:TAG) and archive
    install_operator(cluster, *, say=silent, settings=None) -> None     helm upgrade --install, and waits
    why_not() -> str | None                                         why this process cannot have one

A KindCluster has `name`, `context` ("kind-NAME"), `kubeconfig`, `kubectl_path`, `helm_path`, `control_plane`
and `workers` (names of Node and container alike), `nodes` (all of them) and

    kubectl(*arguments, input=None, check=True) -> str              stdout; KubectlError when it fails
    helm(*arguments, input=None) -> str                             stdout; TestbedError when it fails
    exec_in_node(node, argv, *, input=None, check=True) -> str      stdout; TestbedError when it fails
    write_in_node(node, path, text) -> None                         a static pod's manifest, for one
    load_image(archive, *, nodes=None) -> None                      an OCI or docker archive
    restart_kubelet(node) -> None
    stop_node(node), start_node(node), pause_node(node), unpause_node(node) -> None

`oomkeeper.local/busybox:1` (tests.testbed.images.BUSYBOX_IMAGE) is on every node; name no pull policy.
A second cluster beside the first is another `name`: kind_cluster(name="other", workers=0) has only a
control plane, on which pods may run. All nodes of all clusters share this machine's kernel, log and sysctls.
"""

from ..operatorimage import OperatorImage, operator_image
from .cluster import KindCluster
from .installing import install_operator
from .lifecycle import down, find, kind_cluster, up, why_not

__all__ = [
    "KindCluster",
    "OperatorImage",
    "down",
    "find",
    "install_operator",
    "kind_cluster",
    "operator_image",
    "up",
    "why_not",
]
