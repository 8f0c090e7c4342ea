#: panics: compulsory panic_on_oom is enabled
# vm.panic_on_oom=2 and the machine's memory.
sysctl vm.panic_on_oom=2
expect cause=NodeMemory outcome=Panicked contributor=Anonymous
start memhog - anon 400
await
