#!/usr/bin/env bash
# What `raysweep measure` costs a host with many workers and millions of files, once a
# minute for real minutes, in a world of its own. Prints a line a run and a table at the
# end; not 0 when it took 2 % of a core or more. As root.
# Usage: measure-duty.sh
#   WORKERS=64  FILES=3000000 (over all workers)  MINUTES=10
#   RAYSWEEP=program   this one, and not target/release/raysweep, which is built first
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

readonly WORKERS=${WORKERS:-64} FILES=${FILES:-3000000} MINUTES=${MINUTES:-10}
[[ -n ${RAYSWEEP:-} ]] || cargo build --locked --release
RAYSWEEP=$(realpath "${RAYSWEEP:-target/release/raysweep}")
export WORKERS FILES MINUTES RAYSWEEP

# A stand-in for a worker needs one program and what it is linked against.
image() {
    local root=$WORLD_DIR/image
    mkdir -p "$root"/{bin,tmp}
    cp "$(command -v sleep)" "$root/bin/"
    ldd "$root/bin/sleep" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root/$(dirname "$library")"
        cp -L "$library" "$root/$library"
    done
    tar -C "$root" -c . | docker import - stand-in >/dev/null
}

workers() {
    local number
    for ((number = 1; number <= WORKERS; number++)); do
        docker run -d --name "ray-worker-$number" --network none stand-in /bin/sleep infinity >/dev/null
    done
}

# Through each container's own mounts: what lies under a mounted overlay is not to be touched.
files() {
    local number pid
    for ((number = 1; number <= WORKERS; number++)); do
        pid=$(docker inspect -f '{{.State.Pid}}' "ray-worker-$number")
        python3 - "/proc/$pid/root/tmp" $((FILES / WORKERS)) <<'PYTHON'
import os, sys
top, count = sys.argv[1], int(sys.argv[2])
for first in range(0, count, 1000):
    folder = f"{top}/{first}"
    os.mkdir(folder)
    for number in range(first, min(first + 1000, count)):
        os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
PYTHON
    done
}

# One run, and the CPU seconds of it and of every child that it had.
measured() {
    local TIMEFORMAT='%U %S'
    {
        time nice "$RAYSWEEP" measure --textfile "$WORLD_DIR/raysweep.prom" --config.file "$WORLD_DIR/sweep.yml" \
            --log.level warn 2>"$WORLD_DIR/measure.log" >&2
    } 2>&1 | awk '{ printf "%.3f", $1 + $2 }'
}

exported() {
    grep -c "^$1{" "$WORLD_DIR/raysweep.prom" || true
}

bench() {
    # shellcheck source=deploy/demo/lib.sh
    source deploy/demo/lib.sh
    dockerd_up
    image
    workers
    files
    mkdir -p "$WORLD_DIR/run"
    printf 'runtime_dir: %s/run\ncontainers: { socket: %s }\n' "$WORLD_DIR" "${DOCKER_HOST#unix://}" >"$WORLD_DIR/sweep.yml"
    local began=$EPOCHREALTIME run used total=0 oldest share
    for ((run = 1; run <= MINUTES; run++)); do
        used=$(measured)
        total=$(awk "BEGIN { print $total + $used }")
        printf 'run %2d: %6.3f s of CPU, %d of %d workers have a figure\n' \
            "$run" "$used" "$(exported ray_worker_tmp_used_bytes)" "$(exported ray_worker_tmp_limit_bytes)"
        # To the end of this run's minute: the share is one of the whole time.
        sleep "$(awk "BEGIN { left = $began + 60 * $run - $EPOCHREALTIME; print (left > 0 ? left : 0) }")"
    done
    oldest=$(awk -v now="$EPOCHSECONDS" '/^ray_worker_tmp_measured_timestamp_seconds\{/ && (!least || $2 < least) { least = $2 }
        END { print now - least }' "$WORLD_DIR/raysweep.prom")
    share=$(awk "BEGIN { printf \"%.2f\", 100 * $total / ($EPOCHREALTIME - $began) }")
    printf '\n| workers | files | minutes | CPU s | %% of a core | oldest figure, s |\n|---|---|---|---|---|---|\n'
    printf '| %d | %d | %d | %.2f | %s | %d |\n' "$WORKERS" "$FILES" "$MINUTES" "$total" "$share" "$oldest"
    awk "BEGIN { exit !($share < 2) }"
}

if [[ -n ${WORLD_DIR:-} ]]; then
    bench
else
    [[ -x $RAYSWEEP ]] || {
        echo "measure-duty.sh: $RAYSWEEP is not built" >&2
        exit 1
    }
    deploy/demo/install.sh
    # Sparse: it is for the inodes, one for each 16 KiB.
    WORLD_DISK_SIZE=${WORLD_DISK_SIZE:-80G} deploy/demo/world.sh "$(realpath "$0")"
fi
