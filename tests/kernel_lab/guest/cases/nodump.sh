# vm.oom_dump_tasks=0: no task table.
sysctl vm.oom_dump_tasks=0
expect cause=NodeMemory outcome=Killed tasks=0
start memhog - anon 400
await
