# A node that is itself a container (kind): a pod's limit below the node's own path.
node=docker/9c8b7a6d5e4f30211203f4e5d6a7b8c99c8b7a6d5e4f30211203f4e5d6a7b8c9
pod=$node/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod50718293_a4b5_4c6d_97e8_f90123456789.slice
scope=$pod/cri-containerd-ff3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988.scope
cgroup $pod limit=64M
cgroup $scope limit=64M
cgroup $pod/pause
expect cause=PodLimit level=Pod outcome=Killed counter=Memory oom_memcg=/$pod limit="$(limit_of $pod)"
start pause $pod/pause -a -998 anon 2
filled pause
start etcd $scope -a -997 anon 100
await
