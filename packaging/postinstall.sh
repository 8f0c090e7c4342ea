#!/bin/sh
set -e
lib=/usr/lib/oomkeeper
# Bytecode for the Python that runs it: the service may not write there.
version=$(python3 -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ -d "$lib/python$version" ]; then
    python3 -I -m compileall -q "$lib/app" "$lib/python$version" > /dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # An upgrade of a running service; a fresh installation starts nothing by itself.
    systemctl try-restart oomkeeper.service || true
fi
