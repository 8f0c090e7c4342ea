# oom_score_adj within a cgroup: the smaller process is killed.
cgroup prefer limit=96M
expect cause=CgroupLimit level=Own outcome=Killed counter=Memory oom_memcg=/prefer limit="$(limit_of prefer)"
start small prefer -a 1000 anon 16
filled small
start big prefer anon 75
filled big
start late prefer anon 30
await
