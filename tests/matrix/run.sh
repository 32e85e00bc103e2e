#!/usr/bin/env bash
# The matrix of scenarios on real Ray, one world for each version; as root.
# Usage: run.sh [VERSION…]   Ray's versions; without any, 2.40.0 and 2.60.0
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

(($#)) || set -- 2.40.0 2.60.0
binary=$(tests/binary.sh matrix)
code=0
for version; do
    deploy/demo/ray-image.sh "$version" >/dev/null
    # Sparse: a version takes about 4 GiB of it.
    WORLD_DISK_SIZE=16G RAY_VERSION=$version deploy/demo/world.sh "$binary" --nocapture || code=1
done
exit "$code"
