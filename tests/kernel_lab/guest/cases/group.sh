#: cgroups: v2
# memory.oom.group: three processes are killed for one.
cgroup grp limit=64M group=1
expect cause=CgroupLimit level=Own outcome=KilledGroup counter=Memory oom_memcg=/grp limit="$(limit_of grp)"
start first grp anon 8
start second grp anon 8
start third grp anon 100
await
