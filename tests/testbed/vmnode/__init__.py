"""A Kubernetes node that may panic: a virtual machine beside the testbed's API server.

Debian's stock kernel under QEMU's software emulation, cgroup v2, two NUMA nodes, containerd and kubelet;
ERST keeps what a panic leaves for pstore. The control plane is the testbed's own, on this machine's loopback,
which the guest reaches at 10.0.2.2.

    from tests.testbed.vmnode import vm_node

    with vm_node(say=print) as node:
        node.kubectl("get", "nodes")
        boot = node.boot_id()
        ...                                      # whatever makes it panic
        node.wait_ready(other_than=boot)
        node.sh("cat /proc/sys/vm/panic_on_oom") # a shell in the guest, on its second serial port

The operator is installed from its chart: the agent as a pod of its DaemonSet in
the guest, with the roles and the admission policy of the chart, the controller as a process of this machine,
since importing kopf takes half a minute under emulation. The image that the agent's pod runs is none built
from the Dockerfile: it has Debian's Python and takes the package from the run's disk, so that a changed line
costs no new disk (a node that stays up keeps the package as it was when it came up). Not to be had: logs and
exec by the API server, which does not reach into the guest; use `sh`.

The first use fetches a kernel, makes a Debian root and boots once to import the images: some minutes, into
the cache. From a shell: `make vmnode`, `make vmnode-down`.
"""

from .node import NODE_NAME, VMNode, attach_vm, finish_vm, prepare_vm, why_not
from .operator import NAMESPACE, install_operator, wait_for_agent
from .pythonimage import PYTHON_IMAGE
from .session import find_vm, vm_node

__all__ = [
    "NAMESPACE",
    "NODE_NAME",
    "PYTHON_IMAGE",
    "VMNode",
    "attach_vm",
    "find_vm",
    "finish_vm",
    "install_operator",
    "prepare_vm",
    "vm_node",
    "wait_for_agent",
    "why_not",
]
