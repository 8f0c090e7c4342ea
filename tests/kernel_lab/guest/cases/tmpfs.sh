# Files in tmpfs, charged to the cgroup of the process that wrote them.
mount -t tmpfs -o size=300m tmp /mnt
cgroup shm limit=64M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory contributor=SharedMemory
expect oom_memcg=/shm limit="$(limit_of shm)"
start writer shm files 100 /mnt
await
