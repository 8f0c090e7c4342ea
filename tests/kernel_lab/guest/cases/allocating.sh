# vm.oom_kill_allocating_task: the small requesting process is killed, not the largest one.
sysctl vm.oom_kill_allocating_task=1
expect cause=NodeMemory outcome=Killed first=asking
start large - anon 200
filled large
start asking - anon 400
await
