# The limit is three levels above the process.
cgroup top limit=64M
cgroup top/mid limit=96M
cgroup top/mid/low
cgroup top/mid/low/leaf limit=128M
expect cause=AncestorCgroupLimit level=Ancestor outcome=Killed counter=Memory contributor=Anonymous
expect oom_memcg=/top task_memcg=/top/mid/low/leaf limit="$(limit_of top)"
start memhog top/mid/low/leaf anon 150
await
