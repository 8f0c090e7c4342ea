# A node that is itself a container: the node's own limit.
node=lxc.payload.node3
container=$node/kubepods/besteffort/pod61829304-b5c6-4d7e-a8f9-012345678901/113c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988
cgroup $node limit=64M
cgroup $container
expect cause=EnclosingLimit level=Enclosing outcome=Killed counter=Memory
expect oom_memcg=/$node task_memcg=/$container limit="$(limit_of $node)"
start batch $container -a 1000 anon 100
await
