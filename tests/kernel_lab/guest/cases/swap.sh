#: cgroups: v2
# The cgroup's memory is full, and so is its swap.
use_swap
cgroup swap limit=48M swap=16M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=Anonymous
expect oom_memcg=/swap limit="$(limit_of swap)"
start memhog swap anon 100
await
