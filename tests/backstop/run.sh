#!/usr/bin/env bash
# The backstop under a real cron, with a real Ray worker, when everything else is down; as root.
# Usage: run.sh [BINARY]
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

binary=$(realpath "${1:-target/debug/raysweep}")
deploy/demo/install.sh >&2
deploy/demo/ray-image.sh >/dev/null
WORLD_DISK_SIZE=8G exec deploy/demo/world.sh tests/backstop/test.sh "$binary"
