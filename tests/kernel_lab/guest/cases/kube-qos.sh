# kubelet's tree, cgroupfs driver: the limit of a QoS class.
qos=kubepods/besteffort
container=$qos/pod2d4e5f60-7182-493a-a4b5-c6d7e8f90123/cc3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988
cgroup $qos limit=64M
cgroup $container
expect cause=QOSLimit level=QOS outcome=Killed counter=Memory
expect oom_memcg=/$qos task_memcg=/$container limit="$(limit_of $qos)"
start batch $container -a 1000 anon 100
await
