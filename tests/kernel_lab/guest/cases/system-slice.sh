# A limit on the system's own services.
cgroup system.slice limit=64M
cgroup system.slice/containerd.service
expect cause=SystemSliceLimit level=SystemSlice outcome=Killed counter=Memory
expect oom_memcg=/system.slice task_memcg=/system.slice/containerd.service limit="$(limit_of system.slice)"
start containerd system.slice/containerd.service anon 100
await
