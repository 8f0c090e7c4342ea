# What cases are written in. A case says with `expect` what it makes happen, before it happens; `await` adds
# what the guest itself saw of it (who died, how often), from wait() and /proc/vmstat and never from the log.
MEMORY=/cg CPUSET=/cg
[ "$V" = v1 ] && MEMORY=/cg/memory CPUSET=/cg/cpuset
started=

expect() { # KEY=VALUE...
	for pair in "$@"; do echo "LAB-FACT ${pair%%=*} ${pair#*=}" >&3; done
}

cgroup() { # PATH [limit=BYTES] [swap=BYTES (v2)] [memsw=BYTES (v1)] [group=1 (v2)] [mems=NODES]
	path=$1
	shift
	folder=$MEMORY
	if [ "$V" = v2 ]; then
		for part in $(echo "$path" | tr / ' '); do
			echo "+memory +cpuset" >"$folder/cgroup.subtree_control"
			folder=$folder/$part
			mkdir -p "$folder"
		done
	else
		mkdir -p "$MEMORY/$path"
	fi
	for pair in "$@"; do
		value=${pair#*=}
		case $V:${pair%%=*} in
		v2:limit) echo "$value" >"$MEMORY/$path/memory.max" ;;
		v1:limit) echo "$value" >"$MEMORY/$path/memory.limit_in_bytes" ;;
		v2:swap) echo "$value" >"$MEMORY/$path/memory.swap.max" ;;
		v1:memsw) echo "$value" >"$MEMORY/$path/memory.memsw.limit_in_bytes" ;;
		v2:group) echo "$value" >"$MEMORY/$path/memory.oom.group" ;;
		*:mems)
			mkdir -p "$CPUSET/$path"
			[ "$V" = v1 ] && cat "$CPUSET/cpuset.cpus" >"$CPUSET/$path/cpuset.cpus"
			echo "$value" >"$CPUSET/$path/cpuset.mems"
			;;
		*) echo "cgroup: no $pair on $V" >&2 ;;
		esac
	done
}

limit_of() { # PATH: the memory limit in bytes, as the kernel holds it
	cat "$MEMORY/$1/memory.max" 2>/dev/null || cat "$MEMORY/$1/memory.limit_in_bytes"
}

start() { # NAME CGROUP|- HOG-ARGUMENTS...
	name=$1 group=$2
	shift 2
	where=
	if [ "$group" != - ]; then
		[ -e "$MEMORY/$group" ] && where="-c $MEMORY/$group"
		[ "$V" = v1 ] && [ -e "$CPUSET/$group" ] && where="$where -c $CPUSET/$group"
	fi
	hog -n "$name" $where "$@" &
	started="$started $!:$name"
}

filled() { # NAME: wait until that hog has all it was to have
	tries=0
	while [ ! -e "/tmp/filled.$1" ] && [ $tries -lt 300 ]; do
		sleep 0.2
		tries=$((tries + 1))
	done
}

count_kills() { # sets $kills: /proc/vmstat's count since the guest started
	while read -r key value; do
		[ "$key" = oom_kill ] && kills=$value
	done </proc/vmstat
}

await() { # [SECONDS-OF-QUIET [KILLS]]: until that many kills happened and no more follow, or two minutes are over
	tries=0 quiet=0 last=$before
	while [ $tries -lt 600 ] && [ $quiet -lt $((${1:-1} * 5)) ]; do
		sleep 0.2
		tries=$((tries + 1))
		count_kills
		if [ "$kills" != "$last" ]; then
			quiet=0
		elif [ $((kills - before)) -ge "${2:-1}" ]; then
			quiet=$((quiet + 1))
		fi
		last=$kills
	done
	finish
}

finish() { # end what was started; who had been killed by then died of memory
	for one in $started; do kill -TERM "${one%%:*}" 2>/dev/null; done
	for one in $started; do
		wait "${one%%:*}"
		[ $? = 137 ] && expect "victim=$one"
	done
	count_kills
	expect "kills=$((kills - before))"
	started=
}

sysctl() { # KEY=VALUE: until the end of the case
	file=/proc/sys/$(echo "${1%%=*}" | tr . /)
	read -r found <"$file"
	restore="$restore $file:$found"
	echo "${1#*=}" >"$file"
}

use_swap() { # the whole first disk, until the end of the case
	mkswap /dev/nvme0n1 >/dev/null
	swapon /dev/nvme0n1
}

clear_messages() { # System V queues outlive their makers
	while read -r _ id _; do
		[ "$id" != msqid ] && ipcrm -q "$id"
	done </proc/sysvipc/msg
}

clean() {
	for one in $restore; do echo "${one#*:}" >"${one%%:*}"; done
	clear_messages 2>/dev/null
	umount /mnt 2>/dev/null
	rm -f /tmp/*
	echo 0 >/proc/sys/vm/nr_hugepages
	swapoff /dev/nvme0n1 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	find /cg -mindepth 1 -depth -type d -exec rmdir {} \; 2>/dev/null
}

restore=
count_kills
before=$kills
