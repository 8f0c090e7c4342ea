#!/bin/sh
set -e
# deb: also `upgrade` and others; rpm: 0 and 1.
case "$1" in
    # preremove has restored the values: what is left are the recorded kills.
    purge) rm -rf /var/lib/oomkeeper ;;
esac
case "$1" in
    remove|purge|0)
        if [ -d /run/systemd/system ]; then
            systemctl daemon-reload || true
            # A service that failed would stay in the list of units.
            systemctl reset-failed oomkeeper.service 2> /dev/null || true
        fi
        ;;
esac
