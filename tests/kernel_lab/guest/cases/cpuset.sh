# A cpuset that allows one of two NUMA nodes.
cgroup bound mems=1
expect cause=NUMACpuset outcome=Killed constraint=CONSTRAINT_CPUSET mems_allowed=1
start memhog bound anon 300
await
