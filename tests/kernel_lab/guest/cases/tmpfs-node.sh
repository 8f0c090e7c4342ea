# The machine's memory is files in tmpfs; the victim holds little memory.
mount -t tmpfs -o size=100% tmp /mnt
expect cause=NodeMemory outcome=Killed contributor=SharedMemory
start writer - files 220 /mnt
filled writer
start memhog - anon 200
await
