#!/usr/bin/env bash
# The end-to-end tests on real parts, in a world of their own; as root.
# Usage: run.sh [ARG…]   arguments go to the test binary: a filter, --nocapture…
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

binary=$(tests/binary.sh e2e)
deploy/demo/ray-image.sh >/dev/null
CADVISOR=$(tests/e2e/cadvisor.sh)
export CADVISOR
# One thread: the tests share the containers, and a sweep sees all of a host.
exec deploy/demo/world.sh "$binary" --test-threads=1 "$@"
