# Kernel memory on a cgroup's account: System V messages.
cgroup slab limit=32M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=KernelSlab
expect oom_memcg=/slab limit="$(limit_of slab)"
start sender slab messages 64
await
