# The machine's memory is in pipes: no counter of the report shows it.
expect cause=NodeMemory outcome=Killed contributor=Unaccounted
start piper - pipes 400
await
