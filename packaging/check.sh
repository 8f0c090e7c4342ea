#!/bin/sh
# In a container or chroot: install the package of a folder, use it, remove it. check.sh FOLDER LOG
set -eu
folder=$1 log=$2
if command -v apt-get > /dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    [ -n "${OFFLINE:-}" ] || apt-get update -qq
    apt-get install -qq -y "$folder"/oomkeeper-*.deb > /dev/null
    remove="apt-get purge -qq -y oomkeeper"
else
    dnf install -q -y "$folder"/oomkeeper-*.rpm
    remove="dnf remove -q -y oomkeeper"
fi
oomkeeper --version
oomkeeper explain "$log" | head -n 3
oomkeeper explain "$log" --output json > /dev/null
oomkeeper plan -f /etc/oomkeeper/policy.yaml | head -n 1
test -s /usr/share/man/man8/oomkeeper-node.8.gz
test -s /usr/lib/systemd/system/oomkeeper.service
test "$(find /usr/lib/oomkeeper -name '*.pyc' | wc -l)" -gt 0
$remove > /dev/null
test ! -e /usr/lib/oomkeeper
test ! -e /usr/bin/oomkeeper
echo "installed, used and removed"
