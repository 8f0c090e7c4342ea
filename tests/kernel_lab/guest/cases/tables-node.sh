# The machine's memory is page tables.
expect cause=NodeMemory outcome=Killed contributor=PageTables
start sparse - tables 400
await
