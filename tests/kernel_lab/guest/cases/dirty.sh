# Dirty pages of a file on a slow disk that cannot be written back in time: mapped, locked, and no flusher.
sysctl vm.dirty_background_ratio=90
sysctl vm.dirty_ratio=95
sysctl vm.dirty_writeback_centisecs=0
mount -t ext4 /dev/nvme1n1 /mnt
# Reclaim of older kernels writes a few MiB before it gives up.
case "$(uname -r)" in 5.*) limit=8 ;; *) limit=4 ;; esac
cgroup dirty limit=${limit}M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=DirtyPageCache
expect oom_memcg=/dirty limit="$(limit_of dirty)"
start logger dirty dirty $((limit * 2)) /mnt
await
umount -l /mnt
