# Most of the machine's memory is set aside for huge pages.
echo 100 >/proc/sys/vm/nr_hugepages
expect cause=NodeMemory outcome=Killed contributor=HugePages
start memhog - anon 400
await
