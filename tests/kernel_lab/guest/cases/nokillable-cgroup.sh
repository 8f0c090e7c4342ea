# Every process of the cgroup is exempt: no process is killed, the allocation fails and is retried. Only a victim's
# line names a victim's cgroup, so whether a parent's limit was reached is unknown.
cgroup exempt limit=32M
expect cause=NoKillableProcess level=Unknown outcome=NoVictim oom_memcg=/exempt
start memhog exempt -a -1000 anon 64
sleep 2
finish
