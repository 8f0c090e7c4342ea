#!/bin/sh
set -e
# deb: `remove` and `upgrade`, rpm: 0 and 1. An upgrade changes nothing on the host.
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
# Not for rpm's 1: the new version's postinstall has run already.
case "$1" in
    remove|upgrade|0) find /usr/lib/oomkeeper -name __pycache__ -type d -prune -exec rm -rf {} + ;;
esac
