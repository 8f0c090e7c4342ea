# vm.oom_kill_allocating_task: the small one that asks dies, not the large one that has.
sysctl vm.oom_kill_allocating_task=1
expect cause=NodeMemory outcome=Killed first=asking
start large - anon 200
filled large
start asking - anon 400
await
