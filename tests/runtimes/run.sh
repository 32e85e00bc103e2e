#!/usr/bin/env bash
# Other runtimes and none, with a stand-in for Ray, in worlds of their own; as root.
# Usage: run.sh [ARG…]   arguments go to the test binary: a filter, --nocapture…
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

binary=$(tests/binary.sh runtimes)
deploy/demo/ray-image.sh >/dev/null
code=0
# One thread: a sweep sees all of a host. First everything, with cgroups as the machine has them; then
# what knows containers by their cgroups, with v2 alone.
deploy/demo/world.sh "$binary" --test-threads=1 "$@" || code=1
(($#)) || set -- containers:: podman::
deploy/demo/world.sh tests/runtimes/with_cgroup2.sh "$binary" --test-threads=1 "$@" || code=1
exit "$code"
