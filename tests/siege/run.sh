#!/usr/bin/env bash
# Somebody in a container who plays against sweeps, in a world of their own; as root.
# Usage: run.sh [ARG…]   arguments go to the test binary: a filter, --nocapture…
#   SIEGE=long   long plays, as `make soak` asks for; takes about half an hour
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

binary=$(tests/binary.sh siege)
deploy/demo/ray-image.sh >/dev/null
# Sparse: a million files take about 4 GiB of it for their inodes.
WORLD_DISK_SIZE=${WORLD_DISK_SIZE:-24G} exec deploy/demo/world.sh "$binary" --test-threads=1 --nocapture "$@"
