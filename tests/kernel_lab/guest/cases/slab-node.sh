# The machine's memory is slab.
expect cause=NodeMemory outcome=Killed contributor=KernelSlab
start sender - datagrams 400
await
