#!/usr/bin/env bash
# Measures raysweep beside rm, find, rmz, du, diskus, pdu and the old rule, in a world of its
# own; as root, on a machine that does nothing else. A run of the whole plan is kept in
# docs/performance.md and in the README. Each of these makes it smaller:
#   FILES=1000000   files that are removed and measured; FILES=20000 ROUNDS=1 takes minutes
#   ROUNDS=3        rounds, of which the median counts
#   PARTS="removal usage verdicts memory calls"
#   DISKS="ext4 overlay"   LAYOUTS="tree flat"   WORKERS="1 8 64"
#   CONTENDERS="rm -rf,docker exec rm -rf,find -delete,rmz,raysweep"
#   KEEP=yes        keep the figures of less than the whole plan too
#   WORLD_BASE=/var/tmp   where the world's disk lies; on a tmpfs of 14 GiB it is the file system that is
#                         measured and not the disk below it, which others may use too
#   PROFILE=bench   cargo's; `dev` is built sooner, for a run that only shows that it runs
#   LIMIT=4h        after so long it ends whatever is left
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

if ((EUID != 0)); then
    echo "run.sh: needs root, for namespaces, mounts and Docker" >&2
    exit 77
fi

BENCH_TOOLS=${RAYSWEEP_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/raysweep/tools}
export BENCH_TOOLS
deploy/demo/install.sh
benches/tools.sh "$BENCH_TOOLS"
deploy/demo/ray-image.sh >/dev/null

binary=$(cargo bench --locked --profile "${PROFILE:-bench}" --no-run --bench sweep --message-format=json |
    jq -r 'select(.executable != null and .target.name == "sweep").executable')
[[ -x $binary ]] || {
    echo "run.sh: cargo names no binary of the benchmark" >&2
    exit 1
}
# Sparse: a million files take about 5 GiB of it, the image and the containers 3.
# In the foreground, so that Ctrl-C reaches all of it.
WORLD_DISK_SIZE=${WORLD_DISK_SIZE:-24G} \
    timeout --foreground --kill-after=60 "${LIMIT:-4h}" deploy/demo/world.sh "$binary"
