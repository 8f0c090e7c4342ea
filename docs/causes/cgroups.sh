# Three functions for the examples on these pages: `. docs/causes/cgroups.sh` as root, from the checkout.
# They work on cgroup v1 and v2, and touch nothing but cgroups below the one that you name.

if [ -d /sys/fs/cgroup/memory ]; then
    cgroup_root=/sys/fs/cgroup/memory cgroup_limit=memory.limit_in_bytes
else
    cgroup_root=/sys/fs/cgroup cgroup_limit=memory.max
fi

# make_cgroup PATH [LIMIT]: the cgroup with all parents it needs; LIMIT is 64M and the like, without swap.
make_cgroup() {
    cgroup_at=$cgroup_root
    for cgroup_part in $(printf %s "$1" | tr / ' '); do
        # On v2 a parent hands the memory controller down.
        [ ! -f "$cgroup_at/cgroup.subtree_control" ] || echo +memory > "$cgroup_at/cgroup.subtree_control"
        cgroup_at=$cgroup_at/$cgroup_part
        [ -d "$cgroup_at" ] || mkdir "$cgroup_at"
    done
    [ -z "${2:-}" ] || echo "$2" > "$cgroup_at/$cgroup_limit"
    [ -z "${2:-}" ] || [ ! -f "$cgroup_at/memory.swap.max" ] || echo 0 > "$cgroup_at/memory.swap.max"
}

# run_in PATH COMMAND...: the command as a member of that cgroup, in the foreground; killed is no error here.
run_in() {
    cgroup_at=$cgroup_root/$1
    shift
    sh -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$cgroup_at" "$@" || true
}

# remove_cgroup PATH: it and all below it, deepest first. The dead leave a cgroup with a little delay.
remove_cgroup() {
    for cgroup_try in 1 2 3 4 5 6 7 8 9 10; do
        find "$cgroup_root/$1" -depth -type d -exec rmdir {} + 2> /dev/null
        [ -d "$cgroup_root/$1" ] || return 0
        sleep 0.2
    done
    echo "cgroup $1 is still there" >&2
    return 1
}
