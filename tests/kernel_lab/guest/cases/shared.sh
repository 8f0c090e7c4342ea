# Memory shared between processes.
cgroup shared limit=64M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=SharedMemory
expect oom_memcg=/shared limit="$(limit_of shared)"
start postgres shared shared 100
await
