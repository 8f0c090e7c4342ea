# A process at the limit of its own cgroup.
cgroup own limit=64M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=Anonymous
expect oom_memcg=/own task_memcg=/own limit="$(limit_of own)"
start memhog own anon 100
await
