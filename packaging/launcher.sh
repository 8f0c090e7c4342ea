#!/bin/sh
# oomkeeper with the Python of the system, whichever of the supported versions it is.
lib=/usr/lib/oomkeeper
for python in python3 python3.14 python3.13 python3.12 python3.11; do
    found=$(command -v "$python") || continue
    version=$("$found" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])') || continue
    [ -d "$lib/python$version" ] || continue
    # -I: neither the environment nor the user's own packages change what runs as root.
    exec "$found" -I -c "
import sys
sys.path[:0] = ['$lib/app', '$lib/python$version']
sys.argv[0] = '/usr/bin/oomkeeper'
from oomkeeper.cli.main import main
sys.exit(main())
" "$@"
done
echo "oomkeeper: no supported Python found: install python3.11 or newer, up to 3.14" >&2
exit 1
