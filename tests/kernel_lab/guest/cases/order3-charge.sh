# Requests of order 3 at a cgroup's limit: not fragmentation.
cgroup rings limit=32M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory order=3
expect oom_memcg=/rings limit="$(limit_of rings)"
start piper rings rings 64
await
