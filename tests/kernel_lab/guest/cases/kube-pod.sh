# kubelet's tree, cgroupfs driver: two containers at their pod's limit.
pod=kubepods/pod1c3d4e5f-6071-4829-93a4-b5c6d7e8f901
first=$pod/aa3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988
second=$pod/bb3c1e9ad27b6085f1c2d3e4a5b697887766554433221100ffeeddccbbaa9988
cgroup $pod limit=64M
cgroup $first
cgroup $second
expect cause=PodLimit level=Pod outcome=Killed counter=Memory oom_memcg=/$pod limit="$(limit_of $pod)"
start envoy $first -a -997 anon 20
start app $second -a -997 anon 80
await
