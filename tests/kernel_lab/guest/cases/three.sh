# The machine's memory, three equal processes: the one with oom_score_adj 1000 is killed.
expect cause=NodeMemory outcome=Killed contributor=Anonymous first=test1
start test - anon 400
start test1 - -a 1000 anon 400
start test2 - anon 400
await
