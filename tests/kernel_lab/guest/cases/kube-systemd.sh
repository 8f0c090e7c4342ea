# kubelet's tree, systemd driver: a container's own limit.
slice=kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod4f607182_93a4_4b5c_86d7_e8f901234567.slice
scope=$slice/cri-containerd-ee3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988.scope
cgroup $slice limit=128M
cgroup $scope limit=64M
expect cause=ContainerLimit level=Container outcome=Killed counter=Memory
expect oom_memcg=/$scope task_memcg=/$scope limit="$(limit_of $scope)"
start node $scope -a 950 anon 100
await
