# Every process of the cgroup is exempt: nobody dies, the allocation fails and is tried again and again. Only a
# victim's line names a victim's cgroup, so whether the limit is that of a parent stays open.
cgroup exempt limit=32M
expect cause=NoKillableProcess level=Unknown outcome=NoVictim oom_memcg=/exempt
start memhog exempt -a -1000 anon 64
sleep 2
finish
