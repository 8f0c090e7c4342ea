"""A kind cluster: several nodes with real kubelets and containerd, in containers on this machine's kernel.

    from tests.testbed.kind import install_operator, kind_cluster

    with kind_cluster(say=print) as cluster:    # the one of `make kind` if it is up, else one for this block
        install_operator(cluster, say=print)    # image and chart, as `make kind` does; a no-op where they are
        cluster.kubectl("get", "nodes")
        cluster.exec_in_node(cluster.workers[0], ["cat", "/proc/sys/vm/panic_on_oom"])

Functions:

    kind_cluster(*, name="oomkeeper", workers=2, say=silent) -> Iterator[KindCluster]    (context manager)
    up(*, name="oomkeeper", workers=2, say=silent) -> KindCluster       reuses a cluster of that name that works
    find(name="oomkeeper") -> KindCluster | None                        only looks
    down(*, name=None, say=silent) -> None                              None: all of ours, and put the machine back
    operator_image(*, say=silent) -> OperatorImage                      (name "REPOSITORY:TAG", archive path)
    install_operator(cluster, *, say=silent, settings={"agent.logLevel": "debug"}) -> None   helm upgrade --install
    why_not() -> str | None                                             why this process cannot have one

A KindCluster has `name`, `context` ("kind-NAME"), `kubeconfig`, `kubectl_path`, `helm_path`, `control_plane` and
`workers` (names of Node and container alike), `nodes` (all of them) and

    kubectl(*arguments, input=None, check=True) -> str                  stdout; KubectlError when it fails
    helm(*arguments) -> str                                             stdout; TestbedError when it fails
    exec_in_node(node, argv, *, input=None, check=True) -> str          stdout; TestbedError when it fails
    write_in_node(node, path, text) -> None                             a static pod's manifest, for one
    load_image(archive, *, nodes=None) -> None                          an OCI or docker archive into containerd
    restart_kubelet(node) -> None
    stop_node(node), start_node(node), pause_node(node), unpause_node(node) -> None

`oomkeeper.local/busybox:1` (tests.testbed.images.BUSYBOX_IMAGE) is on every node; use it with the default pull
policy. A second cluster beside the first is another `name`: kind_cluster(name="other", workers=0) has only a
control plane, on which pods may run. All nodes of all clusters share this machine's kernel, log and sysctls.
"""
