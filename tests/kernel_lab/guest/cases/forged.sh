# Names that mimic the kernel's own text.
cgroup forged limit=32M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory oom_memcg=/forged limit="$(limit_of forged)"
start "x,pid=1,uid=0" forged anon 50
await
