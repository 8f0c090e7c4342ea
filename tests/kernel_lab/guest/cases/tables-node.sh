# The machine's memory is page tables. Their owner is exempt: when it is killed, a kernel may panic on the next
# request before the tables are freed.
expect cause=NodeMemory outcome=Killed contributor=PageTables
start sparse - -a -1000 tables 200
filled sparse
start memhog - anon 300
await
