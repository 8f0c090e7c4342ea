# Every process of the cgroup is exempt: nobody dies, the allocation fails and is tried again and again.
cgroup exempt limit=32M
expect cause=NoKillableProcess level=Own outcome=NoVictim oom_memcg=/exempt
start memhog exempt -a -1000 anon 64
sleep 2
finish
