#: cgroups: v2
# The machine has swap, the cgroup may use none.
use_swap
cgroup swapless limit=64M swap=0
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=Anonymous
expect oom_memcg=/swapless limit="$(limit_of swapless)"
start memhog swapless anon 100
await
