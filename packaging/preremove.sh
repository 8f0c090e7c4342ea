#!/bin/sh
set -e
# An upgrade (deb: `upgrade`, rpm: 1) changes nothing on the host.
case "$1" in
    remove|0)
        if [ -d /run/systemd/system ]; then
            systemctl disable --now oomkeeper.service || true
        fi
        # The original values, as deleting a policy restores them in a cluster.
        if [ -e /var/lib/oomkeeper/oomkeeper.db ]; then
            /usr/bin/oomkeeper node --restore || true
        fi
        ;;
esac
find /usr/lib/oomkeeper -name __pycache__ -type d -prune -exec rm -rf {} +
