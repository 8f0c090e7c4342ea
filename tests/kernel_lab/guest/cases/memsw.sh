#: cgroups: v1
# Memory+swap is at its limit, and memory too.
use_swap
cgroup memsw limit=48M memsw=64M
expect cause=CgroupLimit level=Own outcome=Killed counter=MemorySwap contributor=Anonymous
expect oom_memcg=/memsw limit="$(cat $MEMORY/memsw/memory.memsw.limit_in_bytes)"
start memhog memsw anon 100
await
