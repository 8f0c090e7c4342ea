# vm.panic_on_oom=1 ignores a cgroup's limit: a kill, no panic.
sysctl vm.panic_on_oom=1
cgroup own limit=64M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory oom_memcg=/own limit="$(limit_of own)"
start memhog own anon 100
await
