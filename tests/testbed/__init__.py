"""A real Kubernetes for tests and the demo, built from Go modules where no prebuilt one is at hand.

Two levels. `control_plane()` is etcd and kube-apiserver on free loopback ports, for anybody, ready in
seconds. `native_node()` adds kube-controller-manager, kube-scheduler, containerd and a real kubelet on this
machine (root only): its pods run, and the kernel kills them.

    from tests.testbed import control_plane, native_node

    with control_plane(say=print) as cp:
        cp.kubectl("apply", "-f", "-", input=manifest)
        client = kubernetes.config.new_client_from_config(str(cp.kubeconfig))

    with native_node(name="node-a", say=print) as node:
        node.kubectl("run", "eater", "--image=oomkeeper.local/busybox:1", ...)

In pytest take the session-scoped fixtures `control_plane` and `native_node` of tests/cluster/conftest.py: one
server for all tests, so each test makes its own namespaces and names. From a shell: `python -m tests.testbed
up --level node`, `eval "$(python -m tests.testbed env)"`, `python -m tests.testbed down`.

At the control plane level no controller runs, as with envtest: no namespace ever finishes deleting, no
garbage collector follows an ownerReference, no service account appears by itself (and none is asked of a
pod), and a pod goes where its nodeName says and nowhere else. `control_plane(controllers=True)` adds
kube-controller-manager.

Whatever ends the process that holds a testbed, SIGKILL included, its supervisor sees the pipe close and puts
the machine back as it was found. The first use builds for minutes into
`${OOMKEEPER_CACHE:-${XDG_CACHE_HOME:-~/.cache}/oomkeeper}`.
"""

from .controlplane import ControlPlane, control_plane
from .errors import TestbedError
from .node import NativeNode, native_node

__all__ = ["ControlPlane", "NativeNode", "TestbedError", "control_plane", "native_node"]
