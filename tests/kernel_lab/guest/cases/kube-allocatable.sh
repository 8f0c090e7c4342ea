# kubelet's tree, cgroupfs driver: all pods together reach the node's allocatable limit.
container=kubepods/burstable/pod3e5f6071-8293-4a4b-b5c6-d7e8f9012345/dd3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988
cgroup kubepods limit=64M
cgroup $container
expect cause=NodeAllocatableLimit level=Allocatable outcome=Killed counter=Memory
expect oom_memcg=/kubepods task_memcg=/$container limit="$(limit_of kubepods)"
start web $container -a 900 anon 100
await
