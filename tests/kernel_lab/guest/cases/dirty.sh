# Dirty pages of a file on a slow disk that cannot be written out in time: mapped, locked, and no flusher.
sysctl vm.dirty_background_ratio=90
sysctl vm.dirty_ratio=95
sysctl vm.dirty_writeback_centisecs=0
mount -t ext4 /dev/nvme1n1 /mnt
cgroup dirty limit=4M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=DirtyPageCache
expect oom_memcg=/dirty limit="$(limit_of dirty)"
start logger dirty dirty 8 /mnt
await
umount -l /mnt
