# A manual kill (SysRq f).
expect cause=ManualTrigger outcome=Killed
start innocent - anon 60
filled innocent
echo f >/proc/sysrq-trigger
await
