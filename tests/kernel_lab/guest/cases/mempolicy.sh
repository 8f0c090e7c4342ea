# set_mempolicy(): all memory of the process from NUMA node 0.
expect cause=NUMAMemoryPolicy outcome=Killed constraint=CONSTRAINT_MEMORY_POLICY nodemask=0
start main - -p 0 anon 300
await
