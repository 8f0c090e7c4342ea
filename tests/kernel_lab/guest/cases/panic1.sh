#: panics: system-wide panic_on_oom is enabled
# vm.panic_on_oom=1 and the machine's memory.
sysctl vm.panic_on_oom=1
expect cause=NodeMemory outcome=Panicked contributor=Anonymous
start memhog - anon 400
await
