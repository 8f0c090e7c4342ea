# mbind(): this memory from NUMA node 1 alone.
expect cause=NUMAMemoryPolicy outcome=Killed constraint=CONSTRAINT_MEMORY_POLICY nodemask=1
start main - -b 1 anon 300
await
