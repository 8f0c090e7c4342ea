# Memory is free, but in single pages that cannot be moved together.
mount -t ramfs ram /mnt
expect cause=Fragmentation outcome=Killed order=3
start fragger - holes 220 /mnt
await
