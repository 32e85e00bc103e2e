#!/usr/bin/env bash
# The end-to-end tests on real parts, in a world of their own; as root.
# Usage: run.sh [ARG…]   arguments go to the test binary: a filter, --nocapture…
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

# Fails where it cannot be run: a test that is not run has not passed.
if ((EUID != 0)); then
    echo "run.sh: needs root, for namespaces, mounts and Docker" >&2
    exit 77
fi
deploy/demo/install.sh
deploy/demo/ray-image.sh >/dev/null

cargo build --locked
binary=$(cargo test --locked --no-run --test e2e --message-format=json |
    jq -r 'select(.executable != null and .target.name == "e2e").executable')
[[ -x $binary ]] || {
    echo "run.sh: cargo names no end-to-end binary" >&2
    exit 1
}
# One thread: the tests share the containers, and a sweep sees all of a host.
exec deploy/demo/world.sh "$binary" --test-threads=1 "$@"
