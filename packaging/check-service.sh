#!/bin/sh
# As root on a machine with systemd that may be changed: install the .deb of a folder, run the service, have a process OOM-killed,
# enforce a policy, and remove it again. check-service.sh FOLDER
set -eu
folder=$1
eventually() {
    tries=0
    until eval "$1"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 60 ]; then
            echo "not true: $1" >&2
            systemctl --no-pager status oomkeeper >&2 || true
            journalctl --no-pager -u oomkeeper -n 20 >&2 || true
            exit 1
        fi
        sleep 1
    done
}
holds() {
    if ! eval "$1"; then
        echo "not true: $1" >&2
        exit 1
    fi
}
before=$(cat /proc/sys/vm/swappiness)
score=$(cat "/proc/$(systemctl show -P MainPID systemd-journald)/oom_score_adj")
find / /run -xdev -path /proc -prune -o -path /tmp -prune -o -name '*oomkeeper*' -print | sort -u > /tmp/found-before
dpkg -i "$folder"/oomkeeper-*.deb > /dev/null
test "$(systemctl is-enabled oomkeeper || true)" = disabled
systemctl enable --now oomkeeper 2> /dev/null
eventually 'journalctl --no-pager -u oomkeeper | grep -q "watching the kernel log"'
echo "service runs; $(systemd-analyze security oomkeeper --no-pager | tail -n 1)"

# A unit of its own, without D-Bus.
cat > /run/systemd/system/oomkeeper-check.service << 'UNIT'
[Service]
Type=oneshot
MemoryMax=20M
MemorySwapMax=0
ExecStart=/usr/bin/tail /dev/zero
UNIT
systemctl daemon-reload
systemctl start oomkeeper-check || true
eventually 'oomkeeper kills --output json | grep -q "comm.*tail"'
oomkeeper kills --limit 1 | head -n 4
journalctl --no-pager -u oomkeeper | grep -q "reached its memory limit"

cat > /etc/oomkeeper/policy.yaml << 'POLICY'
apiVersion: oomkeeper.dev/v1alpha1
kind: OOMPolicy
metadata: {name: host}
spec:
  persistence: Persistent
  sysctls: {vm.swappiness: 41}
  oomScoreAdjustments:
    - {name: journal, systemdUnit: systemd-journald.service, value: -777}
POLICY
oomkeeper plan -f /etc/oomkeeper/policy.yaml | head -n 5
systemctl restart oomkeeper
eventually 'test "$(cat /proc/sys/vm/swappiness)" = 41'
eventually 'grep -qx -- -777 /proc/$(systemctl show -P MainPID systemd-journald)/oom_score_adj'
eventually 'grep -q "vm.swappiness = 41" /etc/sysctl.d/99-zzz-oomkeeper.conf'
echo "policy enforced: vm.swappiness, oom_score_adj below the present one, drop-in"

echo 77 > /proc/sys/vm/swappiness
eventually 'test "$(cat /proc/sys/vm/swappiness)" = 41'
journal=$(systemctl show -P MainPID systemd-journald)
echo -5 > "/proc/$journal/oom_score_adj"
eventually 'grep -qx -- -777 "/proc/$journal/oom_score_adj"'
systemctl kill --signal=KILL oomkeeper
eventually 'systemctl is-active --quiet oomkeeper'
echo 78 > /proc/sys/vm/swappiness
eventually 'test "$(cat /proc/sys/vm/swappiness)" = 41'
echo "drift corrected, also after the service was killed"

echo "kind: Nonsense" > /etc/oomkeeper/policy.yaml
systemctl restart oomkeeper || true
eventually 'journalctl --no-pager -u oomkeeper | grep -q "write oomkeeper.dev/v1alpha1"'
holds 'test "$(cat /proc/sys/vm/swappiness)" = 41'

rm /run/systemd/system/oomkeeper-check.service
dpkg --purge oomkeeper > /dev/null 2>&1
systemctl daemon-reload
systemctl reset-failed oomkeeper-check.service 2> /dev/null || true
holds 'test "$(cat /proc/sys/vm/swappiness)" = "$before"'
holds 'grep -qx -- "$score" "/proc/$journal/oom_score_adj"'
holds '! systemctl list-units --all --plain --no-legend | grep oomkeeper'
# /run is another file system on most machines.
find / /run -xdev -path /proc -prune -o -path /tmp -prune -o -name '*oomkeeper*' -print | sort -u > /tmp/found-after
holds 'diff /tmp/found-before /tmp/found-after'
echo "purged: values restored, nothing left"
