#!/bin/sh
# Install the package of dist/ in a container of each IMAGE, use it, and remove it: packaging/try.sh debian:13 fedora:latest
set -eu
cd "$(dirname "$0")/.."
for image in "$@"; do
    echo "== $image"
    docker run --rm --volume "$PWD/dist:/dist:ro" --volume "$PWD/packaging/check.sh:/check.sh:ro" \
        --volume "$PWD/demo/recorded.log:/recorded.log:ro" "$image" sh /check.sh /dist /recorded.log
done
