#: append: movablecore=160M
# The kernel's own requests may not use the Movable zone, which has free memory.
expect cause=ZoneMemory outcome=Killed contributor=KernelSlab
start sender - datagrams 400
await
