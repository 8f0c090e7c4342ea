# Two children below their own limits reach their parent's.
cgroup par limit=64M
cgroup par/a limit=48M
cgroup par/b limit=48M
expect cause=AncestorCgroupLimit level=Ancestor outcome=Killed counter=Memory contributor=Anonymous
expect oom_memcg=/par limit="$(limit_of par)"
start main par/a anon 44
start main2 par/b anon 44
await
