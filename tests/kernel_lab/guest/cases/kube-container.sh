# kubelet's tree, cgroupfs driver: a container's own limit.
pod=kubepods/burstable/pod0b2c3d4e-5f60-4718-8293-a4b5c6d7e8f9
container=$pod/4f3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988
cgroup $pod limit=128M
cgroup $container limit=64M
expect cause=ContainerLimit level=Container outcome=Killed counter=Memory
expect oom_memcg=/$container task_memcg=/$container limit="$(limit_of $container)"
start java $container -a 985 anon 100
await
