# The machine's memory is page tables. Who has them is exempt: at its death a kernel may panic for the next
# request before the tables are given back.
expect cause=NodeMemory outcome=Killed contributor=PageTables
start sparse - -a -1000 tables 200
filled sparse
start memhog - anon 300
await
