#: panics: compulsory panic_on_oom is enabled
# vm.panic_on_oom=2 and the limit of one cgroup: the whole machine panics. The log then names the cgroup at its limit,
# but no victim and no victim's cgroup, so whether a parent's limit was reached is unknown.
sysctl vm.panic_on_oom=2
cgroup own limit=64M
expect cause=UnknownCgroupLimit outcome=Panicked counter=Memory oom_memcg=/own limit="$(limit_of own)"
start memhog own anon 100
await
