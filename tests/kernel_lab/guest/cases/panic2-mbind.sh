#: panics: compulsory panic_on_oom is enabled
# vm.panic_on_oom=2 and one NUMA node. The line with the constraint comes only with a victim.
sysctl vm.panic_on_oom=2
expect cause=NUMAMemoryPolicy outcome=Panicked
start main - -b 1 anon 300
await
