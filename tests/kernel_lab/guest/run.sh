#!/bin/sh
# run.sh CASE: one case, its statements and then the kernel's log of it to ttyS1; puts the guest back as it was.
. /lab/lib.sh
echo "LAB-BEGIN $1" >&3
dmesg -c >/dev/null
. "/lab/cases/$1.sh"
echo "LAB-LOG" >&3
hog kmsg >&3
clean
echo "LAB-END $1" >&3
