#!/bin/sh
# The guest's first process: mounts, then one case after the other, then power off. What it has to say goes to
# ttyS1, which the host keeps in a file.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec 3>/dev/ttyS1
echo -1000 >/proc/self/oom_score_adj
for word in $(cat /proc/cmdline); do
	case $word in
	lab.cgroup=*) V=${word#*=} ;;
	lab.cases=*) cases=$(echo "${word#*=}" | tr , ' ') ;;
	esac
done
export V
mkdir -p /cg /mnt
if [ "$V" = v2 ]; then
	mount -t cgroup2 cgroup2 /cg
else
	mount -t tmpfs cg /cg
	mkdir /cg/memory /cg/cpuset
	mount -t cgroup -o memory memory /cg/memory
	mount -t cgroup -o cpuset cpuset /cg/cpuset
	# From 5.11 on every hierarchy counts its children, and the file accepts nothing else.
	echo 1 2>/dev/null >/cg/memory/memory.use_hierarchy
fi
echo "LAB-UP $(uname -r) $(cut -d' ' -f1 /proc/uptime)" >&3
for name in $cases; do
	[ "$name" = trace ] || sh /lab/run.sh "$name"
done
case " $cases " in
*" trace "*) sh /lab/trace.sh ;;
esac
# Without a sync: the disk for dirty pages takes its time.
poweroff -n -f
