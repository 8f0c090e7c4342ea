#!/bin/sh
# trace.sh: an instance of tracing as the agent configures it, a few kills, and everything that a reader needs, as
# an archive in base64 to ttyS1. Statements as in cases go before it.
. /lab/lib.sh
T=/sys/kernel/tracing
OUT=/tmp/trace
EVENTS="oom/mark_victim signal/signal_generate cgroup/cgroup_attach_task task/task_newtask"
mount -t tracefs tracefs $T
echo "LAB-BEGIN trace" >&3
mkdir $T/instances/oomkeeper
I=$T/instances/oomkeeper
echo mono >$I/trace_clock
[ -e $I/buffer_percent ] && echo 0 >$I/buffer_percent
echo 'sig == 9' >$I/events/signal/signal_generate/filter
echo '!(clone_flags & 65536)' >$I/events/task/task_newtask/filter
for event in $EVENTS; do echo 1 >$I/events/$event/enable; done

cgroup inside limit=16777216 swap=0 memsw=16777216
expect "cgroup=/inside"
start victim inside anon 64
await
# The last one that a shell starts, and ends by a signal of its own.
sleep 100 &
expect "killed=$!" "killer=$$"
kill -9 $!

mkdir -p $OUT/events $OUT/instances/oomkeeper/per_cpu
cat $T/events/header_page >$OUT/events/header_page
for event in $EVENTS; do
	mkdir -p $OUT/events/$event $OUT/instances/oomkeeper/events/$event
	cat $T/events/$event/format >$OUT/events/$event/format
done
for file in trace_clock buffer_size_kb; do cat $I/$file >$OUT/instances/oomkeeper/$file; done
for cpu in $I/per_cpu/cpu*; do
	to=$OUT/instances/oomkeeper/per_cpu/${cpu##*/}
	mkdir $to
	cat $cpu/stats >$to/stats
	timeout 3 dd if=$cpu/trace_pipe_raw of=$to/trace_pipe_raw bs=4096 2>/dev/null
done
rmdir $I && expect removed=yes
echo "LAB-LOG" >&3
tar -C $OUT -c . | gzip | base64 >&3
echo "LAB-END trace" >&3
