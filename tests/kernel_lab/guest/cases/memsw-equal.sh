#: cgroups: v1
# The limits of memory+swap and memory are equal, so swap cannot help: memory+swap is charged first, and fails.
use_swap
cgroup equal limit=64M memsw=64M
expect cause=CgroupLimit level=Own outcome=Killed counter=MemorySwap contributor=Anonymous
expect oom_memcg=/equal limit="$(cat $MEMORY/equal/memory.memsw.limit_in_bytes)"
start memhog equal anon 100
await
