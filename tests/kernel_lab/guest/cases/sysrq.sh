# A kill by hand.
expect cause=ManualTrigger outcome=Killed
start innocent - anon 60
sleep 2
echo f >/proc/sysrq-trigger
await
