# Forty kills in parallel: the kernel prints at most ten reports in 5 s.
sysctl vm.oom_dump_tasks=0
cgroup storm limit=12M
expect cause=CgroupLimit level=Own outcome=Killed oom_memcg=/storm limit="$(limit_of storm)" rate_limited=1
for number in 0 1 2 3; do
	for digit in 0 1 2 3 4 5 6 7 8 9; do
		start "storm$number$digit" storm -w /tmp/go shared 16
	done
done
sleep 1
: >/tmp/go
await 2 40
