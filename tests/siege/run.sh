#!/usr/bin/env bash
# Somebody in a container who plays against sweeps, in a world of their own; as root.
# Usage: run.sh [ARG…]   arguments go to the test binary: a filter, --nocapture…
#   SIEGE=long   long plays, as `make soak` asks for; takes about half an hour
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

if ((EUID != 0)); then
    echo "run.sh: needs root, for namespaces, mounts and Docker" >&2
    exit 77
fi
deploy/demo/install.sh
deploy/demo/ray-image.sh >/dev/null

cargo build --locked
binary=$(cargo test --locked --no-run --test siege --message-format=json |
    jq -r 'select(.executable != null and .target.name == "siege").executable')
[[ -x $binary ]] || {
    echo "run.sh: cargo names no binary of the siege" >&2
    exit 1
}
# Sparse: a million files take about 4 GiB of it for their inodes.
WORLD_DISK_SIZE=${WORLD_DISK_SIZE:-24G} exec deploy/demo/world.sh "$binary" --test-threads=1 --nocapture "$@"
